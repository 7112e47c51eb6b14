"""Rollouts in rounds: what a file holds is not sampled again, and a crash changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.generate.protocol import Completion, Request, Sampling
from titer.records import Problem, Rollout, read_rollouts
from titer.rollouts import collect_in_rounds
from titer.verify import Grader

PROBLEMS = [Problem(id=f"p{i}", prompt=f"What is {i} + 1?", answer=str(i + 1), verifier="exact") for i in range(6)]


class Adder:
    """A generator that adds; odd samples are wrong. Remembers what it was asked."""

    name = "adder"

    def __init__(self, *, dies_at: tuple[str, int] | None = None) -> None:
        self.dies_at, self.asked = dies_at, list[tuple[str, int]]()

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in reversed(list(requests)):
            for sample in range(request.first, request.first + request.n):
                if (request.id, sample) == self.dies_at:
                    raise KeyboardInterrupt
                self.asked.append((request.id, sample))
                answer = int(request.id[1:]) + 1 + sample % 2
                yield Completion(request.id, sample, "", "", f"Answer: {answer}", "stop", 3, "")


def two_rounds(taken: Mapping[str, Sequence[Rollout]]) -> dict[str, int]:
    """Two of each, then three more of every second problem."""
    fresh = {name: 2 for name, some in taken.items() if not some}
    return fresh or {name: 3 for name, some in taken.items() if int(name[1:]) % 2 and len(some) == 2}


def collected(generator: Adder, out: Path, **changes: Any) -> list[Rollout]:
    settings: dict[str, Any] = {"more": two_rounds, "sampling": Sampling(), "model": "adder", "chunk": 5, **changes}
    problems = settings.pop("problems", PROBLEMS)
    with Grader(workers=1) as grader:
        return collect_in_rounds(generator, problems, grader=grader, out=out, **settings)


def test_each_problem_gets_as_many_as_are_asked_for(tmp_path: Path) -> None:
    heard: list[Any] = []
    rollouts = collected(Adder(), tmp_path / "r.jsonl", said=heard.append)
    assert [(r.problem_id, r.sample) for r in rollouts] == [
        (f"p{i}", k) for i in range(6) for k in range(5 if i % 2 else 2)
    ]
    assert [r.score for r in rollouts if r.problem_id == "p1"] == [1.0, 0.0, 1.0, 0.0, 1.0]
    assert (heard[-1].done, heard[-1].total, heard[-1].right, heard[-1].graded) == (21, None, 12, 21)
    assert sorted(r.id for r in read_rollouts(tmp_path / "r.jsonl")) == sorted(r.id for r in rollouts)


@pytest.mark.parametrize("dies_at", [("p0", 0), ("p2", 1), ("p1", 3), ("p5", 4)])
def test_killed_anywhere_it_ends_with_the_same_file(dies_at: tuple[str, int], tmp_path: Path) -> None:
    whole = collected(Adder(), tmp_path / "whole.jsonl")
    out = tmp_path / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        collected(Adder(dies_at=dies_at), out)
    with out.open("a") as file:
        file.write('{"problem_id": "p4", "samp')  # torn by the crash
    assert collected(Adder(), out) == whole
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_of_a_chunk_that_was_torn_only_the_rest_is_drawn(tmp_path: Path) -> None:
    whole = collected(Adder(), tmp_path / "r.jsonl")
    lines = (tmp_path / "r.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "r.jsonl").write_bytes(b"".join(lines[:-1]))
    again = Adder()
    assert collected(again, tmp_path / "r.jsonl") == whole
    assert len(again.asked) == 1


def test_more_problems_in_one_chunk_sample_no_known_one_again(tmp_path: Path) -> None:
    first = collected(Adder(), tmp_path / "r.jsonl", problems=PROBLEMS[:4], chunk=500)
    wider = Adder()
    assert collected(wider, tmp_path / "r.jsonl", chunk=500)[: len(first)] == first
    assert {name for name, _ in wider.asked} == {"p4", "p5"}


class Failing(Adder):
    """A server that fails on some samples."""

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for done in super().stream(requests, sampling):
            failed = done.request_id == "p3" and done.sample in (0, 1)
            yield done._replace(finish_reason="error", response="", note="500") if failed else done


def test_what_a_server_failed_to_give_is_asked_for_again_later(tmp_path: Path) -> None:
    ill = collected(Failing(), tmp_path / "r.jsonl")
    assert sum(one.finish_reason == "error" for one in ill) == 2
    well = Adder()
    assert collected(well, tmp_path / "r.jsonl") == collected(Adder(), tmp_path / "whole.jsonl")
    assert sorted(well.asked) == [("p3", 0), ("p3", 1)]


def test_what_is_there_is_not_sampled_again_for_more_problems_or_more_rollouts(tmp_path: Path) -> None:
    first = collected(Adder(), tmp_path / "r.jsonl", problems=PROBLEMS[:4])
    wider = Adder()
    assert collected(wider, tmp_path / "r.jsonl")[: len(first)] == first
    assert {name for name, _ in wider.asked} == {"p4", "p5"}
    deeper = Adder()
    every = collected(
        deeper,
        tmp_path / "r.jsonl",
        more=lambda taken: {name: 6 - len(some) for name, some in taken.items() if len(some) < 6},
    )
    assert len(every) == 36 and len(deeper.asked) == 36 - 21
    fewer = Adder()
    assert collected(fewer, tmp_path / "r.jsonl", problems=PROBLEMS[1:3]) == [
        r for r in every if (r.problem_id, r.sample) in {("p2", 0), ("p2", 1), *(("p1", k) for k in range(5))}
    ]
    assert not fewer.asked


@pytest.mark.parametrize("change", [{"model": "m2"}, {"sampling": Sampling(seed=1)}])
def test_rollouts_made_otherwise_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    collected(Adder(), tmp_path / "r.jsonl")
    with pytest.raises(InputError, match=f"rollouts made otherwise \\({next(iter(change))} differ"):
        collected(Adder(), tmp_path / "r.jsonl", **change)


def test_a_problem_that_changed_is_refused_and_two_with_one_id(tmp_path: Path) -> None:
    collected(Adder(), tmp_path / "r.jsonl")
    changed = Problem(id="p3", prompt="What is 3 + 2?", answer="5", verifier="exact")
    with pytest.raises(InputError, match="problems differ"):
        collected(Adder(), tmp_path / "r.jsonl", problems=[changed])
    with pytest.raises(InputError, match="two problems with id 'p0'"):
        collected(Adder(), tmp_path / "x.jsonl", problems=[PROBLEMS[0]] * 2)
