"""The bridge: candidates, the one test that they stand, and a rewriter that fails in every way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat_server import Reply, chat, serving
from titer import verbs
from titer.errors import InputError
from titer.generate import ServerGenerator
from titer.generate.protocol import Generator, Sampling
from titer.lab.tasks import Item, items
from titer.models import load_model
from titer.pipeline.sampling import generator_of
from titer.recipe import Bridge, Generate
from titer.records import Trace, read_traces, write_records
from titer.rollouts import Sampler
from titer.stages.bridge import Bounds, Checks, Settings, Student, acceptance, bridge, leak_in, refused
from titer.stages.bridge.build import likelihoods
from titer.stages.prefixes import Place, Steps, rates_from, steps_of
from titer.store import read_table
from titer.verify import Grader

ITEMS = items("countdown3", 8, seed=11, held=False)
PROBLEMS = {item.problem.id: item.problem for item in ITEMS}
SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=40)


def short(item: Item, response: str | None = None) -> Trace:
    """The base model's own form, without a thinking."""
    problem = item.problem
    return Trace(id=f"{problem.id}:t", problem_id=problem.id, prompt=problem.prompt, response=response or item.solution)


def clumsy(item: Item) -> Trace:
    """The same with a line that the student would never write."""
    first, rest = item.solution.split("\n", maxsplit=1)
    return short(item, f"{first}\n\nyard yard yard.\n\n{rest}")


@pytest.fixture(scope="module")
def student() -> Iterator[Student]:
    loaded = load_model("lab")
    with Grader(workers=1) as grader:
        yield Student(loaded, Sampler(generator_of(loaded, Generate(), name="lab"), grader, SAMPLING, "lab"))


GOOD = Checks(True, "", None, 50, 100, 1.0, 2.0, 0.5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"correct": False}, "wrong"),
        ({"correct": None}, "graded"),
        ({"leak": "the given answer"}, "given answer"),
        ({"wrong_step": 2}, "step 2"),
        ({"tokens": 151}, "1.51"),
        ({"tokens": 9}, "0.09"),
        ({"nll": 2.0}, "likelier"),
        ({"half_rate": 0.2}, "0.20"),
        ({"half_rate": 0.25}, ""),
    ],
)
def test_every_check_can_refuse(changed: dict[str, Any], said: str) -> None:
    fault = refused(GOOD._replace(**changed), Bounds())
    assert said in fault and bool(said) == bool(fault)


@pytest.mark.parametrize(
    ("text", "prompt", "found"),
    [
        ("We are told the answer is 7.", "?", "We are told the answer"),
        ("According to the solution, x = 3.", "?", "According to the solution"),
        ("This matches the given answer.", "?", "matches the given "),
        ("Since the answer is given, we only check it.", "?", "the answer is given"),
        ("The known solution is x = 3.", "A known: The known solution of f is 2.", ""),
        ("Let me verify the above answer.", "?", ""),
        ("The answer is known to be an integer.", "?", ""),
        ("The solution above says 7.", "?", "the solution above says"),
        ("Knowing the answer is 7, we stop.", "?", "knowing the answer"),
        ("That is the given final answer 7.", "?", "the given final answer"),
        ("As the reference shows, it is 7.", "?", "as the reference shows"),
        ("So the answer is 7. Given the numbers 3 and 4, we add.", "?", ""),
        ("A solution of the equation is 3; the reference frame moves.", "?", ""),
    ],
)
def test_a_text_that_was_given_the_answer_says_so(text: str, prompt: str, found: str) -> None:
    assert leak_in(text, prompt).lower() == found.lower()


def test_a_beginning_is_the_first_steps_of_thinking_or_response() -> None:
    thinking = Trace(id="t", problem_id="p", prompt="?", reasoning="One. \n\nTwo.\n\nThree.", response="3")
    steps = steps_of(thinking)
    assert steps.thinking and "".join(steps.pieces) == thinking.reasoning
    places = [Place(ITEMS[0].problem, "t", steps, given) for given in range(3)]
    assert [place.prefix for place in places] == ["", "<think>\nOne. \n\n", "<think>\nOne. \n\nTwo.\n\n"]
    assert Place(ITEMS[0].problem, "t", Steps(["a \n", "b"], thinking=False), 1).prefix == "a \n"
    assert places[1].id == "t@1"


def test_from_more_of_a_right_solution_the_student_solves_more(student: Student, tmp_path: Path) -> None:
    places = [Place(item.problem, item.problem.id, steps_of(short(item)), given) for item in ITEMS for given in (0, 2)]
    found = rates_from(places, student.sampler, samples=6, out=tmp_path / "from.jsonl")
    bare, helped = (sum(found[f"{item.problem.id}@{given}"].rate for item in ITEMS) for given in (0, 2))
    assert helped > bare
    some = found[f"{ITEMS[0].problem.id}@2"].rollouts
    assert all(rollout.response.startswith("".join(steps_of(short(ITEMS[0])).pieces[:2]).strip()) for rollout in some)


def test_the_student_finishes_what_a_teacher_began(student: Student, tmp_path: Path) -> None:
    traces = [clumsy(item) for item in ITEMS]
    settings = Settings(kinds=("scaffold",), samples=4, bounds=Bounds(solves=0.0))
    found = bridge(traces, PROBLEMS, student, settings, work=tmp_path)
    assert found.candidates and all(one.checks.correct for one in found.candidates)
    for one in found.candidates:
        given = one.trace.meta["given_steps"]
        assert 1 <= given <= len(steps_of(one.raw).pieces)
        assert one.trace.response.startswith("".join(steps_of(one.raw).pieces[:given]).strip())
        assert one.trace.problem_id == one.raw.problem_id and one.trace.meta["bridged_from"] == one.raw.id
    kept = [one for one in found.candidates if not one.fault]
    assert kept and all(one.checks.nll < one.checks.raw_nll for one in kept)
    assert {trace.id for trace in found.traces} == {one.trace.id for one in kept}
    assert len(found.traces) + len(found.without) == len(traces) and not found.faults
    shares = acceptance(found.candidates)["scaffold"]
    assert shares["candidates"] == len(found.candidates) and shares["accepted"] == len(kept) / len(found.candidates)
    # the same call samples nothing again
    again = bridge(traces, PROBLEMS, student._replace(sampler=student.sampler._replace(generator=Silent())), settings,
                   work=tmp_path)  # fmt: skip
    assert again.traces == found.traces


class Silent:
    """A generator that must not be asked."""

    name = "lab"

    def stream(self, requests: Any, sampling: Sampling) -> Iterator[Any]:
        raise AssertionError(next(iter(requests)))


def test_the_likeliest_accepted_candidate_wins(student: Student, tmp_path: Path) -> None:
    """Two rewrites, the student's own words and a clumsy text, both right: the first wins; `otherwise` fills up."""
    item, other = ITEMS[0], ITEMS[1]
    shown = {item.problem.id: item.problem, other.problem.id: other.problem}
    raw = short(item, f"yard yard yard yard yard yard\n{item.solution}")

    class Two:
        name = "rewriter"

        def stream(self, requests: Any, sampling: Sampling) -> Iterator[Any]:
            from titer.generate import Completion

            for request in requests:
                texts = [clumsy(item).response, item.solution] if request.id == raw.id else ["nonsense", "Answer: 1"]
                for sample, text in enumerate(texts):
                    yield Completion(request.id, sample, text, "", text, "stop", 9)

    rewriter = student.sampler._replace(generator=Two(), model="rewriter")
    settings = Settings(kinds=("rewrite",), samples=8, bounds=Bounds(solves=0.0))
    found = bridge([raw, short(other)], shown, student, settings, work=tmp_path / "a", rewriter=rewriter)
    assert [trace.response for trace in found.traces] == [item.solution]
    assert [one.fault for one in found.candidates if one.raw.id != raw.id] == ["the answer is wrong"] * 2
    filled = bridge([raw, short(other)], shown, student, settings._replace(otherwise="raw"), work=tmp_path / "b",
                    rewriter=rewriter)  # fmt: skip
    assert [trace.id for trace in filled.traces] == [f"{raw.id}:rewrite1", short(other).id]


def test_a_trace_beyond_the_context_costs_no_other_and_may_be_bridged(student: Student, tmp_path: Path) -> None:
    """What needs the bridge most is longest: the raw trace has no likelihood, and one that has is likelier."""
    endless = short(ITEMS[0], f"{'yard ' * 1100}.\n\n{ITEMS[0].solution}")
    settings = Settings(kinds=("scaffold", "rewrite"), samples=2, rewrites=1, bounds=Bounds(solves=0.0))
    found = bridge([endless, *map(clumsy, ITEMS[1:4])], PROBLEMS, student, settings, work=tmp_path)
    assert {one.raw.id for one in found.candidates if one.kind == "scaffold"} <= {clumsy(i).id for i in ITEMS[1:4]}
    assert any(one.kind == "rewrite" for one in found.candidates)
    (fault,) = (line for line in found.faults if endless.id in line)
    assert "no rewrite of" in fault and "the context of lab is 1024" in fault
    tokens, nll = likelihoods([endless], student.loaded)[endless.id]
    assert tokens > 1024 and nll == float("inf")
    told = GOOD._replace(raw_tokens=tokens, raw_nll=nll, tokens=50)
    assert refused(told, Bounds(shortest=0.01)) == "" and "context" in refused(told._replace(nll=nll), Bounds(0.01))


def test_a_wrong_teacher_is_set_aside(student: Student, tmp_path: Path) -> None:
    wrong = short(ITEMS[0], "Answer: 1 + 1")
    found = bridge([wrong], PROBLEMS, student, Settings(), work=tmp_path)
    assert not found.traces and not found.candidates
    assert found.faults == [f"trace {wrong.id!r} is set aside: its answer is wrong"]


FAILURE = Reply('{"error": {"message": "out of memory"}}', status=500)


def stall(*_: object) -> Reply:
    time.sleep(1.0)
    return chat("late")


REWRITERS = {
    "garbage": lambda *_: chat("la la la\n\nla"),
    "no JSON": lambda *_: Reply("<html>"),
    "fails": lambda *_: FAILURE,
    "stalls": stall,
    "cuts": lambda *_: chat("First,", finish_reason="length"),
}


@pytest.mark.parametrize("name", REWRITERS)
def test_a_bad_rewriter_costs_its_candidates_alone(name: str, student: Student, tmp_path: Path) -> None:
    traces = [clumsy(item) for item in ITEMS[:4]]
    settings = Settings(kinds=("scaffold", "rewrite"), samples=4, rewrites=1, bounds=Bounds(solves=0.0))
    with serving(REWRITERS[name]) as (url, server):
        generator: Generator = ServerGenerator(url, "m", timeout=0.2, max_retries=1)
        rewriter = student.sampler._replace(generator=generator, model=f"m at {url}")
        found = bridge(traces, PROBLEMS, student, settings, work=tmp_path, rewriter=rewriter)
        asked = len(server.bodies)
    assert found.traces and not any(one.kind == "rewrite" and not one.fault for one in found.candidates)
    if name == "garbage":
        assert not found.faults and sum(one.kind == "rewrite" for one in found.candidates) == 4
    elif name == "cuts":
        assert len(found.faults) == 4 and all("cut at max_tokens" in fault for fault in found.faults)
    else:  # given up after the first trace, which is asked for twice
        assert asked <= 2 and "3 more traces" in found.faults[-1]
        assert not (tmp_path / "rewrites-0.jsonl").exists()


def test_a_rewriter_that_is_not_there_is_said(student: Student, tmp_path: Path) -> None:
    rewriter = student.sampler._replace(
        generator=ServerGenerator("http://127.0.0.1:9/v1", "m", max_retries=0), model="m"
    )
    traces = [short(item) for item in ITEMS[:3]]
    found = bridge(traces, PROBLEMS, student, Settings(kinds=("rewrite",)), work=tmp_path, rewriter=rewriter)
    assert not found.traces and len(found.without) == 3
    assert found.faults[-1].startswith("no rewrite of 3 traces: ") and "no server can be reached" in found.faults[-1]


def test_the_verb_writes_what_it_found(tmp_path: Path) -> None:
    write_records(tmp_path / "problems.jsonl", [item.problem for item in ITEMS[:5]])
    write_records(tmp_path / "traces.jsonl", [clumsy(item) for item in ITEMS[:5]])
    settings = Bridge(samples=4, solves=0.0, max_tokens=40)
    files = (tmp_path / "traces.jsonl", tmp_path / "problems.jsonl")
    result = verbs.bridge("lab", *files, out=tmp_path / "out", settings=settings)
    rows = read_table(tmp_path / "out" / "candidates.parquet")
    assert result.bridged == result.traces == len(list(read_traces(tmp_path / "out" / "bridged.jsonl")))
    assert sum(row["accepted"] for row in rows) == result.bridged > 0
    assert result.traces + result.without == 5 and result.kinds["scaffold"]["candidates"] == len(rows)
    again = verbs.bridge("lab", *files, out=tmp_path / "out", settings=settings)
    assert again == result


def test_a_column_of_the_users_own_is_no_bridge(tmp_path: Path) -> None:
    write_records(tmp_path / "problems.jsonl", [item.problem for item in ITEMS[:2]])
    write_records(tmp_path / "traces.jsonl", [replace(short(item), meta={"bridge": "no"}) for item in ITEMS[:2]])
    files = (tmp_path / "traces.jsonl", tmp_path / "problems.jsonl")
    settings = Bridge(kinds=["pruned"], otherwise="raw", max_tokens=8)
    result = verbs.bridge("lab", *files, out=tmp_path / "out", settings=settings)
    assert (result.traces, result.without, result.bridged) == (2, 2, 0)


def test_a_trace_of_an_unknown_problem_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "problems.jsonl", [ITEMS[0].problem])
    write_records(tmp_path / "traces.jsonl", [short(item) for item in ITEMS[:2]])
    files = (tmp_path / "traces.jsonl", tmp_path / "problems.jsonl")
    with pytest.raises(InputError, match=r"traces.jsonl, row 2, field 'problem_id'"):
        verbs.bridge("lab", *files, out=tmp_path / "out")


def test_server_and_name_belong_together() -> None:
    with pytest.raises(ValueError, match="belong together"):
        Bridge(server="http://localhost:8000/v1")
