"""Problems gained and lost between checkpoints."""

from __future__ import annotations

from titer.records import Rollout
from titer.report.moves import moved_rows, moves


def rows(rates: list[float], *, axis: str = "in_domain", samples: int = 4) -> list[Rollout]:
    return [
        Rollout(
            problem_id=f"p{i}", sample=k, model="m", prompt=f"prompt {i}", reasoning="", response="1",
            finish_reason="stop", tokens=1, score=float(k < rate * samples), parsed="1", suite="s", axis=axis,
        )
        for i, rate in enumerate(rates) for k in range(samples)
    ]  # fmt: skip


def test_base_to_last_comes_first_then_step_by_step() -> None:
    found = moves({0: rows([0.0, 1.0, 0.5]), 640: rows([1.0, 1.0, 0.25]), 20: rows([0.0, 0.25, 0.5])})
    assert [(one.earlier, one.later) for one in found] == [(0, 640), (0, 20), (20, 640)]
    whole, dip, back = found
    assert [one.problem_id for one in whole.gained] == ["p0"] and [one.problem_id for one in whole.lost] == ["p2"]
    assert (whole.gained[0].before, whole.gained[0].after, whole.gained[0].prompt) == (0.0, 1.0, "prompt 0")
    assert [one.problem_id for one in dip.lost] == ["p1"] and not dip.gained
    assert [one.problem_id for one in back.gained] == ["p0", "p1"] and whole.problems == 3


def test_axes_apart_and_only_what_both_were_asked() -> None:
    base = rows([0.0, 0.0]) + rows([1.0], axis="safety")
    found = moves({0: base, 10: rows([1.0])})
    assert [(one.axis, one.problems, len(one.gained)) for one in found] == [("in_domain", 1, 1), ("safety", 0, 0)]


def test_the_largest_come_first_and_all_are_in_the_table() -> None:
    (found,) = moves({0: rows([0.25] * 10 + [0.0] * 40), 10: rows([1.0] * 50)})
    assert len(found.gained) == 50 and all(one.before == 0 for one in found.gained[:40])
    table = moved_rows([found])
    assert len(table) == 50 and {row["moved"] for row in table} == {"gained"} and table[0]["after"] == 1.0


def test_one_lucky_rollout_beside_four_is_no_gain() -> None:
    (found,) = moves({0: rows([0.25, 0.25]), 10: [row for row in rows([1.0, 1.0]) if row.sample == 0]})
    assert found.problems == 0 and not found.gained


def test_one_checkpoint_moves_nothing() -> None:
    assert moves({0: rows([1.0])}) == [] == moves({})
