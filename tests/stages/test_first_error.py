"""Where an attempt goes wrong: what arithmetic finds, and attempts that go wrong at a known step."""

from __future__ import annotations

import re

import pytest

from titer.lab.arithmetic import reachable
from titer.lab.slips import slip
from titer.lab.tasks import items
from titer.stages.first_error import first_wrong_step, step_at
from titer.traces import cut_text
from titer.verify.equalities import equalities


def test_the_first_false_equality_tells_the_step() -> None:
    text = "First, 3 + 4 = 7.\n\nThen 7 * 2 = 15.\n\nNext, 15 + 1 = 17."
    steps = cut_text(text)
    assert first_wrong_step(text) == next(i for i, step in enumerate(steps) if "7 * 2" in step)
    assert first_wrong_step("First, 3 + 4 = 7.\n\nThen 7 * 2 = 14.") is None
    assert first_wrong_step("") is None


def test_places_have_steps() -> None:
    assert [step_at(["ab", "c", "de"], place) for place in range(6)] == [0, 0, 1, 2, 2, 2]


def test_a_slip_in_a_result_is_the_first_false_equality_of_its_text() -> None:
    for item in items("countdown4", 40, seed=1, held=False):
        trace, step = slip(item, "result", seed=3)
        paragraphs = trace.reasoning.split("\n\n")
        held = [[one.holds for one in equalities(paragraph)] for paragraph in paragraphs]
        assert held[0] == [] and held[step] == [False] and all(held[i] == [True] for i in range(1, step))
        assert all(held[i] == [True] for i in range(step + 1, len(held))) and len(held) == 4
        assert trace == slip(item, "result", seed=3).trace and trace.correct is False
    steps = {slip(item, "result", seed=3).step for item in items("countdown4", 40, seed=1, held=False)}
    assert steps == {1, 2, 3}


def test_a_slip_in_a_number_uses_one_that_is_not_there() -> None:
    for item in items("countdown4", 40, seed=1, held=False):
        trace, step = slip(item, "number", seed=3)
        assert first_wrong_step(trace.reasoning) is None
        paragraphs = trace.reasoning.split("\n\n")
        here = [int(n) for n in re.findall(r"\d+", paragraphs[step - 1].split("leaves")[-1].split("from")[-1])]
        used = [int(n) for n in re.findall(r"\d+", paragraphs[step])[:2]]
        assert len(here) > 1 and any(n not in here for n in used)


def test_a_wrong_turn_is_right_in_itself_and_leads_away() -> None:
    for item in items("countdown4", 40, seed=1, held=False):
        trace, step = slip(item, "turn", seed=3)
        target, paragraphs = int(item.problem.answer), trace.reasoning.split("\n\n")
        assert all(one.holds for one in equalities(trace.reasoning)) and len(paragraphs) == 4
        left = [list(item.problem.meta["numbers"])] + [
            [int(n) for n in re.findall(r"\d+", paragraph.split("leaves")[1])] if "leaves" in paragraph else []
            for paragraph in paragraphs[1:]
        ]
        assert all(reachable(left[i], target) for i in range(step)) and 1 <= step <= 3
        if left[step]:
            assert not reachable(left[step], target)


@pytest.mark.parametrize("kind", ["result", "number", "turn"])
def test_slips_lead_somewhere_else(kind: str) -> None:
    for item in items("countdown3", 20, seed=2, held=False):
        wrong = slip(item, kind, seed=0).trace  # type: ignore[arg-type]
        assert wrong.reasoning.startswith(f"We need {item.problem.answer} from") and wrong.response.startswith(
            "Answer: "
        )
