from __future__ import annotations

from dataclasses import replace

import pytest

from titer.records import Trace
from titer.traces import cue_share, curate, steps


def trace(name: str, reasoning: str = "First.\n\nThen.", **fields: object) -> Trace:
    base = Trace(id=name, problem_id=f"p-{name}", prompt="?", reasoning=reasoning, response="42", correct=True)
    return replace(base, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First, a.\n\nThen b.", ["First, a.", "Then b."]),
        ("one\ntwo\n", ["one", "two"]),
        ("a\nb\n \nc", ["a\nb", "c"]),
        ("", []),
    ],
)
def test_steps(text: str, expected: list[str]) -> None:
    assert steps(text) == expected


def test_cue_share_is_the_share_of_steps_with_a_cue() -> None:
    assert cue_share("Perhaps a.\n\nAnother way: perhaps.\n\nThen b.\n\nDone.") == 0.5
    assert cue_share("ALTERNATIVELY, x") == 1.0
    assert cue_share("The anotherness perhapsed.") == 0.0 == cue_share("")


def test_keeps_the_least_branching_share_in_the_old_order() -> None:
    branchy = "Perhaps.\n\nAnother.\n\nThen."
    traces = [trace("a", branchy), *(trace(f"s{i}") for i in range(8)), trace("z", "Perhaps.\n\nThen.")]
    curation = curate(traces, keep=0.9)
    assert [t.id for t in curation.kept] == [*(f"s{i}" for i in range(8)), "z"]
    assert [(d.trace.id, d.rule) for d in curation.dropped] == [("a", "branching")]
    assert "0.667" in curation.dropped[0].reason and curation.cutoff == 0.5


UNSOUND = {
    "truncated": trace("x", truncated=True),
    "wrong": trace("x", correct=False),
    "not verified": trace("x", correct=None),
    "empty": trace("x", response=" "),
}


@pytest.mark.parametrize("rule", UNSOUND)
def test_unsound_traces_are_dropped_with_their_reason(rule: str) -> None:
    curation = curate([UNSOUND[rule], trace("ok")], keep=1.0)
    assert [t.id for t in curation.kept] == ["ok"]
    assert [d.rule for d in curation.dropped] == [rule]


def test_unverified_traces_are_kept_when_asked() -> None:
    assert len(curate([UNSOUND["not verified"]], keep=1.0, verified=False).kept) == 1


def test_at_most_so_many_of_one_problem_the_least_branching_first() -> None:
    traces = [trace("b", "Perhaps.\n\nThen.", problem_id="p"), trace("a", problem_id="p"), trace("c", problem_id="q")]
    curation = curate(traces, keep=1.0, per_problem=1)
    assert [t.id for t in curation.kept] == ["a", "c"]
    assert curation.dropped[0].rule == "one problem's share"


def test_every_trace_is_kept_or_listed_once() -> None:
    traces = [
        trace(str(i), "Perhaps.\n\n" * (i % 4) + "Then.", correct=i % 5 > 0, problem_id=str(i % 7)) for i in range(60)
    ]
    curation = curate(traces, keep=0.8, per_problem=2)
    assert sorted([t.id for t in curation.kept] + [d.trace.id for d in curation.dropped]) == sorted(
        t.id for t in traces
    )
