"""Critique: where attempts go wrong, lessons whose wrong text stands in prompts alone, and judges that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from chat_server import Reply, chat, serving
from titer import verbs
from titer.errors import InputError
from titer.generate import Completion, ServerGenerator
from titer.generate.protocol import Request, Sampling
from titer.lab.slips import slip
from titer.lab.tasks import items
from titer.recipe import Critique
from titer.records import Problem, Rollout, Trace, read_traces, split_thinking, write_records
from titer.rollouts import Sampler
from titer.stages.critique import Attempt, Settings, attempts_of, by_arithmetic, by_judge, by_rollouts, critique
from titer.stages.first_error import first_wrong_step as step_of
from titer.store import read_table
from titer.verify import Grader

PROBLEM = Problem(id="p", prompt="Add 1, 2, 3, 4 and 5.", answer="15", verifier="exact")
GOOD = ["First, 1 + 2 = 3.\n\n", "Then 3 + 3 = 6.\n\n"]
BAD = ["Next, 6 + 5 = 11.\n\n", "That is all of them."]


def attempt(steps: Sequence[str], name: str = "a", *, thinking: bool = True) -> Attempt:
    text = "".join(steps)
    reasoning, response = (text, "Answer: 11") if thinking else ("", text)
    return Attempt.of(PROBLEM, Trace(id=name, problem_id="p", prompt=PROBLEM.prompt, reasoning=reasoning,
                                     response=response, correct=False))  # fmt: skip


class Solver:
    """Finishes right from every prefix without a wrong step; sample 0 never does."""

    name = "solver"

    def __init__(self, solves: Callable[[str], bool] = lambda prefix: "6 + 5" not in prefix) -> None:
        self.solves, self.prefixes, self.drawn = solves, list[str](), list[tuple[str, int]]()

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in requests:
            self.prefixes.append(request.prefix)
            for sample in range(request.first, request.first + request.n):
                self.drawn.append((request.prefix, sample))
                right = sample > 0 and self.solves(request.prefix)
                opened = request.prefix or "<think>\n"
                closing = "\n</think>" if opened.startswith("<think>") else ""
                text = f"Then 6 + 4 = 10 and 10 + 5 = 15.{closing}\n\nAnswer: {15 if right else 11}"
                reasoning, response, _ = split_thinking(f"{opened}{text}")
                yield Completion(request.id, sample, text, reasoning, response, "stop", 9)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=1) as one:
        yield one


def sampler(grader: Grader, generator: Solver | ServerGenerator | None = None) -> Sampler:
    return Sampler(generator or Solver(), grader, Sampling(), model="m")


def test_rollouts_find_the_step_behind_which_nothing_is_right(grader: Grader, tmp_path: Path) -> None:
    solver = Solver()
    found = by_rollouts(
        [attempt([*GOOD, *BAD])], sampler(grader, solver), samples=3, most=3, out=tmp_path / "rollouts.jsonl"
    )
    assert found["a"].step == 2 and found["a"].by == "rollouts" and "2 of 3" in found["a"].why
    assert len(solver.prefixes) <= 4 and solver.prefixes[0] == ""
    # what was sampled once is not sampled again
    again = Solver()
    assert (
        by_rollouts(
            [attempt([*GOOD, *BAD])], sampler(grader, again), samples=3, most=3, out=tmp_path / "rollouts.jsonl"
        )
        == found
    )
    assert not again.prefixes


@pytest.mark.parametrize("wrong", range(4))
def test_any_step_can_be_the_first_wrong_one(wrong: int, grader: Grader, tmp_path: Path) -> None:
    steps = [f"Now {i} is added to it.\n\n" for i in range(4)]
    solver = Solver(lambda prefix: f"Now {wrong} is" not in prefix)
    found = by_rollouts([attempt(steps)], sampler(grader, solver), samples=2, most=4, out=tmp_path / "r.jsonl")
    assert found["a"].step == wrong


def test_a_place_is_dead_only_after_many_rollouts(grader: Grader, tmp_path: Path) -> None:
    """Right once in five: two rollouts would take a place from which the student does finish for dead."""

    class Seldom(Solver):
        def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
            for request in requests:
                for done in super().stream([request], sampling):
                    yield done if done.sample % 5 == 4 else done._replace(response="Answer: 11")

    one = [attempt([*GOOD, *BAD])]
    assert not by_rollouts(one, sampler(grader, Seldom()), samples=2, most=2, out=tmp_path / "few.jsonl")
    assert by_rollouts(one, sampler(grader, Seldom()), samples=2, most=6, out=tmp_path / "many.jsonl")["a"].step == 2


def test_of_what_is_not_solved_from_the_start_nothing_is_said(grader: Grader, tmp_path: Path) -> None:
    never = Solver(lambda _: False)
    assert not by_rollouts(
        [attempt([*GOOD, *BAD])], sampler(grader, never), samples=3, most=6, out=tmp_path / "rollouts.jsonl"
    )


def test_what_could_not_be_graded_is_no_dead_end(grader: Grader, tmp_path: Path) -> None:
    class Failing(Solver):
        """Right from the start; a server that fails from then on."""

        def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
            for request in requests:
                for done in super().stream([request], sampling):
                    yield done._replace(finish_reason="error") if request.prefix else done

    one = [attempt([*GOOD, *BAD])]
    assert not by_rollouts(
        one, sampler(grader, Failing(lambda _: True)), samples=3, most=3, out=tmp_path / "rollouts.jsonl"
    )


def test_a_judge_that_was_cut_says_nothing(grader: Grader, tmp_path: Path) -> None:
    with serving(lambda *_: chat("Step 3: it leaves", finish_reason="length")) as (url, _):
        judge = sampler(grader, ServerGenerator(url, "m"))
        assert not by_judge([attempt([*GOOD, *BAD])], judge, out=tmp_path / "v.jsonl")


def test_arithmetic_says_what_does_not_hold() -> None:
    some = [attempt([GOOD[0], "Then 3 + 3 = 7.\n\n", "Next, 7 + 5 = 12."], "x"), attempt([*GOOD, *BAD], "y")]
    found = by_arithmetic(some)
    assert list(found) == ["x"] and found["x"].step == 1 and found["x"].why == "3 + 3 = 7 is not right."


@pytest.mark.parametrize(
    ("answer", "step", "why"),
    [
        ("Step 3: it leaves out 4.", 2, "it leaves out 4."),
        ("**Step 2:** wrong", 1, "wrong"),
        ("Step 1:", 0, "It is wrong."),
        ("Step 1: correct.\nStep 2: this is right.\nStep 3: it is not right.", 2, "it is not right."),
        ("Step 1 is correct. Step 2 is correct.", None, ""),
        ("There is no wrong step; step 2 follows.", None, ""),
        ("I think step 1\nbecause", None, ""),
        ("Step 9: there is none", None, ""),
        ("Step 0: none", None, ""),
        ("It is all right.", None, ""),
    ],
)
def test_a_judge_is_read_as_far_as_it_can_be(
    answer: str, step: int | None, why: str, grader: Grader, tmp_path: Path
) -> None:
    with serving(lambda *_: chat(answer)) as (url, server):
        found = by_judge([attempt([*GOOD, *BAD])], sampler(grader, ServerGenerator(url, "m")), out=tmp_path / "v.jsonl")
        prompt = server.bodies[0]["messages"][0]["content"]
    assert "Step 3: Next, 6 + 5 = 11." in prompt and PROBLEM.prompt in prompt
    assert (found["a"].step, found["a"].why) == (step, why) if step is not None else not found


@pytest.mark.parametrize("thinking", [True, False])
def test_wrong_text_stands_in_prompts_alone(thinking: bool, grader: Grader, tmp_path: Path) -> None:
    failed = attempt([*GOOD, *BAD], thinking=thinking)
    found = critique([failed], sampler(grader), Settings(samples=3), work=tmp_path)
    assert [one.meta["lesson"] for one in found.lessons] == ["diagnose", "repair", "renew"] and not found.without
    trained = {one.meta["lesson"]: f"{one.reasoning}\n{one.response}" for one in found.lessons}
    assert all(bad.strip() not in text for bad in BAD for text in trained.values())
    prompts = {one.meta["lesson"]: one.prompt for one in found.lessons}
    assert BAD[0].strip() in prompts["diagnose"] and trained["diagnose"].strip().startswith("Step 3 is wrong. ")
    assert trained["diagnose"].endswith("Conclusion: wrong")
    # the repair goes on behind what is right, and does not say it again
    assert prompts["repair"].count(GOOD[1].strip()) == 1 and BAD[0].strip() not in prompts["repair"]
    assert GOOD[0].strip() not in trained["repair"] and "6 + 4 = 10" in trained["repair"]
    # and what is renewed is renewed from the start: the beginning may hold a step that the locator has missed
    assert prompts["renew"] == PROBLEM.prompt and GOOD[0].strip() not in trained["renew"]
    assert all("15" in trained[kind] for kind in ("repair", "renew"))
    assert len({one.id for one in found.lessons}) == 3 and {one.problem_id for one in found.lessons} == {"p"}


def test_a_fresh_solution_is_the_teachers_where_the_student_has_none(grader: Grader, tmp_path: Path) -> None:
    never = sampler(grader, Solver(lambda _: False))
    teachers = [
        Trace(id="long", problem_id="p", prompt="", reasoning="a long way to 15", response="Answer: 15", correct=True),
        Trace(id="short", problem_id="p", prompt="", reasoning="a way", response="Answer: 15", correct=True),
        Trace(id="wrong", problem_id="p", prompt="", reasoning="", response="Answer: 14", correct=False),
    ]
    found = critique([attempt([*GOOD, *BAD])], never, Settings(), work=tmp_path, teachers=teachers)
    (lesson,) = found.lessons
    assert (lesson.meta["lesson"], lesson.reasoning, lesson.prompt) == ("renew", "a way", PROBLEM.prompt)
    alone = critique([attempt([*GOOD, *BAD])], never, Settings(), work=tmp_path / "alone")
    assert not alone.lessons and alone.without == ["a"]


def test_what_does_not_verify_or_hold_is_no_lesson(grader: Grader, tmp_path: Path) -> None:
    bad_teachers = [Trace(id="t", problem_id="p", prompt="", response="Answer: 14", correct=True)]
    never = sampler(grader, Solver(lambda _: False))
    found = critique([attempt([*GOOD, *BAD])], never, Settings(), work=tmp_path / "a", teachers=bad_teachers)
    assert not found.lessons and "does not verify" in found.faults[0]
    sloppy = [Trace(id="t", problem_id="p", prompt="", response="10 + 4 = 15.\n\nAnswer: 15", correct=True)]
    found = critique([attempt([*GOOD, *BAD])], never, Settings(), work=tmp_path / "b", teachers=sloppy)
    assert not found.lessons and "does not hold" in found.faults[0]


FAILURE = Reply('{"error": {"message": "out of memory"}}', status=500)


@pytest.mark.parametrize("answer", [lambda *_: chat("la la"), lambda *_: FAILURE, lambda *_: Reply("<html>")])
def test_a_bad_judge_costs_its_verdicts_alone(answer: Callable[..., Reply], grader: Grader, tmp_path: Path) -> None:
    with serving(answer) as (url, _):
        judge = sampler(grader, ServerGenerator(url, "m", max_retries=0))
        settings = Settings(locators=("judge", "rollouts"), samples=3)
        found = critique([attempt([*GOOD, *BAD])], sampler(grader), settings, work=tmp_path, judge=judge)
    assert found.located["a"].by == "rollouts" and len(found.lessons) == 3


def test_a_judge_that_is_not_there_is_said(grader: Grader, tmp_path: Path) -> None:
    judge = sampler(grader, ServerGenerator("http://127.0.0.1:9/v1", "m", max_retries=0))
    found = critique(
        [attempt([*GOOD, *BAD])], sampler(grader), Settings(locators=("judge",)), work=tmp_path, judge=judge
    )
    assert not found.located and "no verdict on 1 attempts" in found.faults[0] and "no server" in found.faults[0]


def rollout(problem_id: str, sample: int, score: float | None, reason: str = "stop") -> Rollout:
    return Rollout(problem_id=problem_id, sample=sample, model="m", prompt=PROBLEM.prompt, reasoning="",
                   response=f"r{sample}", finish_reason=reason, tokens=1, score=score)  # type: ignore[arg-type] # fmt: skip


def test_attempts_are_wrong_and_ended_by_themselves() -> None:
    failures = [rollout("p", 0, 0.0, "length"), rollout("p", 1, None), rollout("p", 2, 0.0), rollout("p", 3, 0.0)]
    assert [one.trace.id for one in attempts_of(failures, {"p": PROBLEM})] == ["p#2"]
    assert [one.trace.id for one in attempts_of(failures, {"p": PROBLEM}, each=5)] == ["p#2", "p#3"]
    with pytest.raises(InputError, match="problem 'q'"):
        attempts_of([rollout("q", 0, 0.0)], {"p": PROBLEM})
    with pytest.raises(InputError, match="'p#0' answers another problem than 'p'"):
        attempts_of([replace(rollout("p", 0, 0.0), prompt="Another?")], {"p": PROBLEM})


def test_the_verb_on_the_labs_slips(tmp_path: Path) -> None:
    """Wrong results are found by arithmetic, in the very step that was made wrong."""
    made = items("countdown3", 6, seed=31, held=False)
    slips = {one.problem.id: slip(one, "result", seed=0) for one in made}
    failures = [
        Rollout(problem_id=name, sample=0, model="m", prompt=one.trace.prompt, reasoning=one.trace.reasoning,
                response=one.trace.response, finish_reason="stop", tokens=1, score=0.0)
        for name, one in slips.items()
    ]  # fmt: skip
    write_records(tmp_path / "problems.jsonl", [one.problem for one in made])
    write_records(tmp_path / "failures.jsonl", failures)
    settings = Critique(samples=2, max_tokens=60)
    files = (tmp_path / "failures.jsonl", tmp_path / "problems.jsonl")
    result = verbs.critique("lab", *files, out=tmp_path / "out", settings=settings)
    assert (result.attempts, result.located, result.lessons["diagnose"]) == (6, {"arithmetic": 6}, 6)
    for row in read_table(tmp_path / "out" / "located.parquet"):
        reasoning = slips[row["problem_id"]].trace.reasoning
        assert row["wrong_step"] == step_of(reasoning) and row["located_by"] == "arithmetic"
    lessons = list(read_traces(tmp_path / "out" / "lessons.jsonl"))
    assert sum(result.lessons.values()) == len(lessons) and result.without == 0
    assert verbs.critique("lab", *files, out=tmp_path / "out", settings=settings) == result


def test_a_file_without_failures_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "problems.jsonl", [PROBLEM])
    write_records(tmp_path / "failures.jsonl", [rollout("p", 0, 0.0, "length")])
    with pytest.raises(InputError, match="failures.jsonl.*no rollout that ended"):
        verbs.critique("lab", tmp_path / "failures.jsonl", tmp_path / "problems.jsonl", out=tmp_path / "out")


def test_server_and_judge_belong_together() -> None:
    with pytest.raises(ValueError, match="belong together"):
        Critique(judge="m")


def test_nothing_is_drawn_twice_or_for_nothing(grader: Grader, tmp_path: Path) -> None:
    """A locator's rollouts from a place serve for the lesson from there; a repair behind no step is none."""
    counted = Solver()
    found = critique([attempt([*GOOD, *BAD])], sampler(grader, counted), Settings(samples=3), work=tmp_path / "a")
    assert len(found.lessons) == 3 and len(counted.drawn) == len(set(counted.drawn))
    diagnosed = Solver()
    settings = Settings(samples=3, lessons=("diagnose",), locators=("arithmetic",))
    wrong = attempt(["First, 1 + 2 = 4.\n\n", *BAD])
    assert critique([wrong], sampler(grader, diagnosed), settings, work=tmp_path / "b").lessons
    first = Solver()
    everything = Settings(samples=3, locators=("arithmetic",))
    critique([wrong], sampler(grader, first), everything, work=tmp_path / "c")
    assert (diagnosed.prefixes, first.prefixes) == (
        [],
        [""],
    )  # its first step is wrong


def test_what_was_said_before_a_problem_goes_with_it(grader: Grader, tmp_path: Path) -> None:
    """A judge reads it as text; lessons are asked behind it."""
    turns = [{"role": "system", "content": "Add what you are given."}]
    failed = attempt([*GOOD, *BAD])
    failed = failed._replace(problem=replace(PROBLEM, meta={"earlier_messages": turns}))
    with serving(lambda *_: chat("Step 3: it leaves out 4.")) as (url, server):
        judge = sampler(grader, ServerGenerator(url, "m"))
        settings = Settings(locators=("judge",), samples=3)
        found = critique([failed], sampler(grader), settings, work=tmp_path, judge=judge)
    (asked,) = server.bodies[0]["messages"]
    assert f"system: Add what you are given.\n\nuser: {PROBLEM.prompt}" in asked["content"]
    assert len(found.lessons) == 3 and all(one.meta["earlier_messages"] == turns for one in found.lessons)
