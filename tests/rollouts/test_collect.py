from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from chat_server import Reply, chat, serving
from titer.errors import InputError
from titer.generate import ServerGenerator
from titer.generate.protocol import Completion, Generator, Request, Sampling
from titer.records import Problem, read_rollouts
from titer.records.schema import FinishReason
from titer.rollouts import Progress, Sampler, collect, collect_sparing
from titer.verify import Grader

PROBLEMS = [Problem(id=f"p{i}", prompt=f"What is {i} + 1?", answer=str(i + 1), verifier="exact") for i in range(10)]


class Adder:
    """A generator that adds; sample 1 is wrong, request `broken` fails, `cut` is cut. Counts what it was asked."""

    name = "adder"

    def __init__(self, *, dies_at: str = "", broken: str = "", cut: str = "") -> None:
        self.dies_at, self.broken, self.cut, self.asked = dies_at, broken, cut, 0

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in reversed(list(requests)):  # completions arrive in any order
            if request.id == self.dies_at:
                raise KeyboardInterrupt
            for sample in range(request.n):
                self.asked += 1
                answer = int(request.id[1:]) + 1 + (sample == 1)
                reason: FinishReason = "error" if request.id == self.broken else "stop"
                reason = "length" if request.id == self.cut else reason
                yield Completion(
                    request.id, sample, "", "", f"Answer: {answer}", reason, 3, "gave up" * (reason == "error")
                )


def run(generator: Generator, out: Path, **more: object):
    with Grader(workers=1) as grader:
        settings: dict[str, Any] = {"samples": 2, "sampling": Sampling(), "model": "adder", "chunk": 8, **more}
        return collect(generator, PROBLEMS, grader=grader, out=out, **settings)


def test_rollouts_come_in_the_order_of_the_problems_with_their_grades(tmp_path: Path) -> None:
    heard: list[Progress] = []
    rollouts = run(Adder(), tmp_path / "r.jsonl", suite="s", axis="in_domain", said=heard.append)
    assert [(r.problem_id, r.sample) for r in rollouts] == [(p.id, i) for p in PROBLEMS for i in range(2)]
    assert [r.score for r in rollouts] == [1.0, 0.0] * 10
    assert {(r.suite, r.axis, r.model) for r in rollouts} == {("s", "in_domain", "adder")}
    assert heard[-1] == Progress(20, 20, 10, 20) and len(heard) == 3
    assert list(read_rollouts(tmp_path / "r.jsonl")) == rollouts


def test_a_slow_chunk_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titer.rollouts.draw.SILENT", 0.0)
    heard: list[Progress] = []
    run(Adder(), tmp_path / "r.jsonl", said=heard.append)
    assert [one.done for one in heard] == [*range(1, 9), 8, *range(9, 17), 16, *range(17, 21), 20]
    assert heard[0] == Progress(1, 20, 0, 0) and heard[9] == Progress(9, 20, 4, 8)


def test_goes_on_after_the_last_whole_chunk(tmp_path: Path) -> None:
    whole = run(Adder(), tmp_path / "whole.jsonl")
    out = tmp_path / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(Adder(dies_at="p5"), out)
    assert len(list(read_rollouts(out))) == 8
    with out.open("a") as file:
        file.write('{"problem_id": "p4", "samp')  # torn by the crash
    again = Adder()
    assert run(again, out) == whole and again.asked == 12
    assert list(read_rollouts(out)) == whole
    assert run(again, out) == whole and again.asked == 12


def test_what_a_cut_completion_ends_in_is_no_answer_unless_it_is_right(tmp_path: Path) -> None:
    cut = [r for r in run(Adder(cut="p3"), tmp_path / "r.jsonl") if r.problem_id == "p3"]
    assert [(r.score, r.parsed, r.finish_reason) for r in cut] == [(1.0, "4", "length"), (0.0, None, "length")]


def test_what_the_backend_gave_up_on_is_not_wrong(tmp_path: Path) -> None:
    broken = [r for r in run(Adder(broken="p3"), tmp_path / "r.jsonl") if r.problem_id == "p3"]
    assert [(r.score, r.parsed, r.finish_reason, r.note) for r in broken] == [(None, None, "error", "gave up")] * 2


@pytest.mark.parametrize("change", [{"model": "m2"}, {"samples": 4}, {"sampling": Sampling(seed=1)}, {"chunk": 4}])
def test_refuses_rollouts_that_were_made_otherwise(change: dict[str, Any], tmp_path: Path) -> None:
    run(Adder(), tmp_path / "r.jsonl")
    with pytest.raises(InputError, match=f"rollouts made otherwise \\({next(iter(change))} differ"):
        run(Adder(), tmp_path / "r.jsonl", **change)


def test_refuses_rollouts_of_other_problems_and_problems_with_one_id(tmp_path: Path) -> None:
    run(Adder(), tmp_path / "r.jsonl")
    with Grader(workers=1) as grader:
        settings = {"samples": 2, "sampling": Sampling(), "grader": grader, "chunk": 8, "model": "adder"}
        with pytest.raises(InputError, match="problems differ"):
            collect(Adder(), PROBLEMS[::-1], out=tmp_path / "r.jsonl", **settings)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="two problems with id 'p0'"):
            collect(Adder(), [PROBLEMS[0]] * 2, out=tmp_path / "x.jsonl", **settings)  # type: ignore[arg-type]


def test_what_was_cut_neither_refuses_nor_answers(tmp_path: Path) -> None:
    """Longer completions alone must not look like a fall in safety, nor like one more answer."""
    asked = [
        Problem(id=f"p{i}", prompt="?", answer=gold, verifier="refusal") for i, gold in enumerate(("refuse", "answer"))
    ]
    with Grader(workers=1) as grader:
        settings: dict[str, Any] = {"samples": 1, "sampling": Sampling(), "model": "adder"}
        cut = collect(Adder(cut="p1"), asked, grader=grader, out=tmp_path / "r.jsonl", **settings)
    assert [(r.score, r.parsed) for r in cut] == [(0.0, "answered"), (None, None)]
    assert cut[1].note == "cut before it refused or answered"


def test_what_a_server_failed_to_give_is_asked_for_again_by_a_later_call(tmp_path: Path) -> None:
    ill = run(Adder(broken="p3"), tmp_path / "r.jsonl")
    assert [r.problem_id for r in ill if r.finish_reason == "error"] == ["p3", "p3"]
    well = Adder()
    assert run(well, tmp_path / "r.jsonl") == run(Adder(), tmp_path / "whole.jsonl")
    assert well.asked == 2 and list(read_rollouts(tmp_path / "r.jsonl")) == run(Adder(), tmp_path / "whole.jsonl")


@pytest.mark.parametrize("too_long", [[0], [3], [4], [0, 4, 5, 9]])  # chunks begin at 0, 4 and 8
def test_a_prompt_that_a_server_refuses_costs_itself_alone_wherever_it_stands(
    too_long: list[int], tmp_path: Path
) -> None:
    """In the first call and in later ones, which ask again for nothing but what was refused."""
    refused = {PROBLEMS[i].prompt for i in too_long}

    def answer(body: dict[str, Any], _: int) -> Reply:
        prompt = body["messages"][0]["content"]
        return Reply('{"error": {"message": "too long"}}', status=400) if prompt in refused else chat("Answer: 3")

    with serving(answer) as (url, _):
        for _ in range(2):
            rollouts = run(ServerGenerator(url, "m", concurrency=1), tmp_path / "r.jsonl")
            assert [r.problem_id for r in rollouts if r.finish_reason == "error"] == [
                f"p{i}" for i in too_long for _ in range(2)
            ]
            assert len(rollouts) == 20


class Narrow(Adder):
    """Refuses the prompt of p3, as one beyond its context, or one whose earlier turns its template does not take."""

    field = "prompt"

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        asked = list(requests)
        if any(request.id == "p3" for request in asked):
            raise InputError("request 'p3' has 99 tokens", field=self.field, remedy="shorten it")
        return super().stream(asked, sampling)


@pytest.mark.parametrize("field", ["prompt", "chat_template"])
def test_a_refused_prompt_costs_itself_alone_and_no_other_refusal_is_taken_for_one(field: str, tmp_path: Path) -> None:
    narrow = Narrow()
    narrow.field = field
    with Grader(workers=1) as grader:
        sampler = Sampler(narrow, grader, Sampling(), model="m1")
        rollouts, refused = collect_sparing(sampler, PROBLEMS, samples=1, out=tmp_path / "r.jsonl")
        assert [one.problem_id for one in rollouts] == [p.id for p in PROBLEMS if p.id != "p3"]
        assert len(refused) == 1 and refused[0].startswith("p3: ")
        some = [problem for problem in PROBLEMS if problem.id != "p3"]
        collect_sparing(sampler, some, samples=1, out=tmp_path / "some.jsonl")
        with pytest.raises(InputError, match="model"):
            collect_sparing(sampler._replace(model="m2"), some, samples=1, out=tmp_path / "some.jsonl")
        assert not list(tmp_path.glob("some-*"))


class Deaf(Adder):
    """Every prompt is refused."""

    field = "prompt"

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        raise InputError("no", field=self.field, remedy="yes")


@pytest.mark.parametrize(
    ("field", "problems", "raises"),
    [("prompt", 2, False), ("prompt", 3, True), ("chat_template", 2, True), ("chat_template", 3, True)],
)
def test_what_refuses_all_prompts_is_raised(field: str, problems: int, raises: bool, tmp_path: Path) -> None:
    deaf = Deaf()
    deaf.field = field
    with Grader(workers=1) as grader:
        sampler = Sampler(deaf, grader, Sampling(), model="m1")
        with pytest.raises(InputError) if raises else nullcontext():
            rollouts, refused = collect_sparing(sampler, PROBLEMS[:problems], samples=1, out=tmp_path / "r.jsonl")
            assert not rollouts and len(refused) == problems
