"""What the report gets to see of a run's traces: steps, pairs, two teachers compared."""

from __future__ import annotations

from itertools import pairwise

import pytest

from titer.pipeline.reporting import reading
from titer.pipeline.reporting.reading import as_steps, pairs_of, teachers_of, traces_to_read, two_teachers
from titer.records import Trace
from titer.traces import BEHAVIOURS, read_steps, text_of
from titer.traces.steps import read_many, step_kinds

BRANCHY = "We have 3 and 4. Perhaps 3 + 4 = 7? No, that doesn't work. Alternatively, let me try 3 * 4. So 3 * 4 = 12."
STRAIGHT = "We have 3 and 4. So 3 * 4 = 12. The answer is 12."


def traces(problems: int, teachers: dict[str, str], *, correct: bool | None = None) -> list[Trace]:
    return [
        Trace(
            id=f"{teacher}-{n}",
            problem_id=f"p{n}",
            prompt=f"problem {n}",
            response="12",
            reasoning=text,
            teacher=teacher,
            correct=correct,
        )
        for n in range(problems)
        for teacher, text in teachers.items()
    ]


BOTH = traces(30, {"straight": STRAIGHT, "branchy": BRANCHY})


def test_steps_give_the_text_back_and_say_what_they_do() -> None:
    steps = as_steps(BRANCHY)
    assert "".join(step.text for step in steps) == BRANCHY
    assert {"propose", "backtrack"} <= {step.behaviour for step in steps}
    assert [step.dead for step in steps].count(True) > 0 and not steps[-1].dead


def test_labels_for_training_are_the_same_steps() -> None:
    steps, kinds = as_steps(BRANCHY), step_kinds(BRANCHY)
    bounds = [*(start for start, _ in kinds), len(BRANCHY)]
    assert [BRANCHY[i:j] for i, j in pairwise(bounds)] == [step.text for step in steps]
    assert [BEHAVIOURS[kind] for _, kind in kinds] == [step.behaviour for step in steps]
    assert step_kinds("") == []


def test_the_two_teachers_with_most_traces_are_compared() -> None:
    assert two_teachers([*BOTH, *traces(3, {"a third": STRAIGHT})]) == ("branchy", "straight")
    assert two_teachers(traces(3, {"alone": STRAIGHT, "": STRAIGHT})) is None


def test_a_comparison_has_a_row_a_feature() -> None:
    found = teachers_of(BOTH)
    assert found is not None and (found.a, found.b, found.problems, found.shared) == ("branchy", "straight", 30, 30)
    rows = {row.name: row for row in found.rows}
    assert rows["propose_share"].more == "A more" and rows["propose_share"].share
    assert not rows["steps"].share and rows["steps"].description == "number of steps"
    assert found.transitions_a.keys() == found.transitions_b["propose"].keys()
    assert found.note == ""


def test_only_the_first_problems_are_compared_and_the_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_PROBLEMS", 20)
    found = teachers_of(BOTH)
    assert found is not None and (found.problems, found.shared) == (20, 30)
    assert found.note == "Only the first 20 of them were looked at."


@pytest.mark.parametrize(
    "found",
    [[], traces(3, {"alone": STRAIGHT}), traces(3, {"a": STRAIGHT, "b": STRAIGHT}, correct=False)],
    ids=["none", "one", "nothing solved"],
)
def test_no_comparison_without_two_teachers_that_solved_something(found: list[Trace]) -> None:
    assert teachers_of(found) is None


def test_pairs_say_what_was_dropped() -> None:
    alone = traces(31, {"branchy": BRANCHY})[30:]
    pairs = pairs_of([*alone, *BOTH], {"branchy-0": "rank: too branchy"})
    assert [pair.problem_id for pair in pairs] == [f"p{n}" for n in range(30)]
    assert [pair.left.trace.teacher for pair in pairs] == ["branchy"] * 30
    assert [pair.left.dropped for pair in pairs[:2]] == ["rank: too branchy", ""]
    assert all(pair.prompt == pair.right.trace.prompt and pair.right.steps for pair in pairs)
    assert len(pairs_of(BOTH[:10], {})) == 5 and pairs_of(alone, {}) == []


def test_of_too_much_text_some_is_read_spread_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(len(text_of(trace)) for trace in BOTH)
    monkeypatch.setattr("titer.pipeline.reporting.reading.MOST_TEXT", size * 12 // 30)
    pairs = pairs_of(BOTH, {})
    assert [pair.problem_id for pair in pairs] == [f"p{n}" for n in (0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27)]
    assert len(traces_to_read(BOTH, {})) == 24 and traces_to_read([], {}) == []


def test_many_texts_are_cut_as_each_alone() -> None:
    texts = ["", BRANCHY, "  \n", STRAIGHT, "Perhaps é?\n\nWait, no.\n\nAnother: 3 + 4 = 7.\udcff", BRANCHY]
    assert list(read_many(texts)) == [read_steps(text) for text in texts]
