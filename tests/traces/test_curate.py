from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.errors import InputError
from titer.records import Problem, Trace
from titer.traces import FEATURES, RANKINGS, Curation, curate, measure_texts
from titer.traces.choice import facts_of, step_ratios

PLAIN = "It is seven. It is odd. "


def trace(name: str, reasoning: str = PLAIN, **fields: object) -> Trace:
    base = Trace(id=name, problem_id=f"p-{name}", prompt=f"{name}?", reasoning=reasoning, response="42", correct=True)
    return replace(base, **fields)  # type: ignore[arg-type]


def kept(curation: Curation) -> list[str]:
    return [trace.id for trace in curation.kept]


def dropped(curation: Curation) -> list[tuple[str, str]]:
    return [(drop.trace.id, drop.rule) for drop in curation.dropped]


def test_keeps_the_least_branching_share_in_the_old_order() -> None:
    traces = [trace("a", "Perhaps. Another. Then."), *(trace(f"s{i}") for i in range(8)), trace("z", "Perhaps. Then.")]
    curation = curate(traces, keep=0.9)
    assert kept(curation) == [*(f"s{i}" for i in range(8)), "z"]
    assert dropped(curation) == [("a", "branching")]
    assert "cue_share 0.667" in curation.dropped[0].reason and curation.cutoff == 0.5


UNSOUND = {
    "truncated": trace("x", truncated=True),
    "wrong": trace("x", correct=False),
    "not verified": trace("x", correct=None),
    "empty": trace("x", response=" "),
}


@pytest.mark.parametrize("rule", UNSOUND)
def test_unsound_traces_are_dropped_with_their_reason(rule: str) -> None:
    curation = curate([UNSOUND[rule], trace("ok")], keep=1.0)
    assert kept(curation) == ["ok"] and dropped(curation) == [("x", rule)]
    assert curation.dropped[0].reason


@pytest.mark.parametrize("rule", UNSOUND)
def test_unsound_traces_are_kept_when_asked(rule: str) -> None:
    loose = {"verified": False} if rule in {"wrong", "not verified"} else {"finished": False}
    assert kept(curate([UNSOUND[rule]], keep=1.0, **loose)) == ["x"]  # type: ignore[arg-type]
    assert kept(curate([UNSOUND[rule]], keep=1.0, verified=False, finished=False)) == ["x"]


def test_the_first_rule_that_fits_is_the_reason() -> None:
    worst = trace("x", "Perhaps. " * 20, truncated=True, response="", correct=False)
    rules = list[str]()
    for better in ({}, {"truncated": False}, {"response": "42"}, {"correct": True}):
        worst = replace(worst, **better)  # type: ignore[arg-type]
        rules += [
            rule
            for name, rule in dropped(curate([trace("ok", problem_id="p-x"), worst], keep=0.5, longest=100))
            if name == "x"
        ]
    assert rules == ["truncated", "empty", "wrong", "length"]


def test_bounds_are_of_characters_and_include_their_ends() -> None:
    traces = [trace("short", "é" * 4), trace("in", "é" * 5), trace("out", "é" * 8), trace("long", "é" * 9)]
    curation = curate(traces, keep=1.0, shortest=5, longest=8)
    assert kept(curation) == ["in", "out"]
    assert [drop.reason for drop in curation.dropped] == ["4 characters, fewer than 5", "9 characters, more than 8"]


def test_at_most_so_many_of_one_problem_the_least_branching_first() -> None:
    branchy = ["Perhaps. " * n + "So. " * (4 - n) for n in (2, 0, 1, 3)]
    traces = [trace(str(i), text, problem_id="p") for i, text in enumerate(branchy)]
    curation = curate([*traces, trace("other")], keep=1.0, per_problem=2)
    assert kept(curation) == ["1", "2", "other"]
    assert sorted(dropped(curation)) == [("0", "per problem"), ("3", "per problem")]
    assert curation.cutoff == 0.75 and math.isnan(curation.length_overlap)


RANKED = [
    trace("a", "So x = 1. Perhaps not. Perhaps so. Alternatively, stop. It is. It is. It is."),
    trace("b", "So x = 1. Let me check. So x = 2. Let me check that. So x = 3. I double-check. " * 2),
    trace("c", "然后我们算。 Then we add. 好的。 Then we stop."),
    trace("d", "It is seven. " * 30),
]


@pytest.mark.parametrize(
    ("by", "first"),
    [
        *(("propose_share", "a"), ("cue_share", "a"), ("lines", "a"), ("dead_end_share", "a")),
        *(("checks", "b"), ("language_switches", "c"), ("characters", "d"), ("steps", "d"), ("repeated_share", "d")),
    ],
)
def test_ranks_by_any_feature(by: str, first: str) -> None:
    curation = curate(RANKED, keep=0.75, by=by)
    assert dropped(curation) == [(first, "branching")]
    values = measure_texts([trace.reasoning for trace in RANKED])[by]
    rest = [value for value, trace in zip(values, RANKED, strict=True) if trace.id != first and value == value]
    assert curation.cutoff == max(rest) and f"{by} " in curation.dropped[0].reason


def test_among_equals_the_longer_goes_first() -> None:
    branchy = "Perhaps seven. It is odd. "
    traces = [trace("long", branchy * 3), trace("short", branchy)]
    assert dropped(curate(traces, keep=0.5)) == [("long", "branching")]


def test_what_does_not_branch_is_not_dropped_for_branching() -> None:
    traces = [trace("long", PLAIN * 3), trace("short", PLAIN), trace("branchy", "Perhaps seven. It is odd. ")]
    assert dropped(curate(traces, keep=0.3)) == [("branchy", "branching")]
    assert dropped(curate(traces[:2], keep=0.9)) == [] == dropped(curate(traces[:2], keep=0.5, by="lines"))
    assert [name for name, _ in dropped(curate(traces, keep=0.3, exact=True))] == ["long", "branchy"]
    assert len(dropped(curate(traces, keep=0.0))) == 3


def test_no_ranking() -> None:
    curation = curate(RANKED, keep=0.1, by="none")
    assert kept(curation) == ["a", "b", "c", "d"] and math.isnan(curation.cutoff)


def test_rankings_are_the_features_and_two_more() -> None:
    assert set(RANKINGS) == {"none", "step_ratio", *FEATURES}


@pytest.mark.parametrize("name", ["oss", "GPT-OSS"])
def test_step_ratio_against_a_paired_teacher(name: str) -> None:
    def of(teacher: str, problem: str, steps: int) -> Trace:
        return trace(f"{teacher}-{problem}", "It is odd. " * steps, teacher=teacher, problem_id=problem)

    traces = [
        *(of("gpt-oss-20b", "p", 4), of("gpt-oss-20b", "q", 10), of("gpt-oss-20b", "r", 50)),
        *(of("R1", "p", 12), of("R1", "q", 20), of("R1", "r", 50), of("R1", "alone", 99)),
    ]
    # (12 - 4) / 4 = 2, (20 - 10) / 10 = 1, 0; unpaired traces and the paired teacher's own are not ranked, and kept
    curation = curate(traces, keep=2 / 3, by="step_ratio", paired_with=name)
    assert dropped(curation) == [("R1-p", "branching")] and "step_ratio 2.000" in curation.dropped[0].reason
    assert (curation.cutoff, curation.unranked) == (1.0, 4)
    assert sorted(dropped(curate(traces, keep=1 / 3, by="step_ratio", paired_with=name))) == [
        ("R1-p", "branching"),
        ("R1-q", "branching"),
    ]
    # a mate counts though it is too long itself, and several of one problem by their mean
    wrong = replace(of("gpt-oss-20b", "s", 30), correct=False)
    found = curate([*traces, wrong, of("R1", "s", 60)], keep=3 / 4, by="step_ratio", paired_with=name)
    assert found.unranked == 4 and ("R1-p", "branching") in dropped(found)
    three = facts_of(
        [of("R1", "p", 12), traces[0], of("gpt-oss-20b", "p", 20)], by="step_ratio", verified=True, finished=True
    )
    assert step_ratios(three, name)[0] == 0.0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"by": "length"}, "by"),
        ({"by": "step_ratio"}, "paired_with"),
        ({"by": "step_ratio", "paired_with": "nobody"}, "paired_with"),
        *(({"keep": keep}, "keep") for keep in (-0.1, 1.1, math.nan)),
    ],
)
def test_refusals_name_the_field(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        curate([trace("a")], **wrong)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_no_traces_no_harm() -> None:
    curation = curate([], keep=0.5)
    assert curation.kept == curation.dropped == curation.control == [] and math.isnan(curation.cutoff)
    assert len(curate([trace("a")], keep=0.01).kept) == 1 and not curate([trace("a")], keep=0.0).kept


def test_the_control_is_as_many_sound_traces_at_random() -> None:
    traces = [
        trace(f"{i}", "Perhaps. " * (i % 5) + "So.", correct=i % 10 > 0, problem_id=f"{i % 30}") for i in range(300)
    ]
    curation = curate(traces, keep=0.5, per_problem=4, seed=1)
    control = [trace.id for trace in curation.control]
    assert len(control) == len(curation.kept) == len(set(control)) < 135
    assert all(trace.correct for trace in curation.control)
    assert control == sorted(control, key=int)
    assert max(Counter(trace.problem_id for trace in curation.control).values()) <= 4
    again = curate(traces[::-1], keep=0.5, per_problem=4, seed=1).control
    assert {trace.id for trace in again} == set(control)
    assert {drop.trace.id for drop in curation.dropped if drop.rule == "branching"} & set(control)
    assert control == [trace.id for trace in curate(traces, keep=0.5, per_problem=4, seed=1).control]
    assert control != [trace.id for trace in curate(traces, keep=0.5, per_problem=4, seed=2).control]


def test_length_overlap_by_hand() -> None:
    texts = ["Perhaps. " * 8, "Perhaps. " * 2, "It is odd. " * 9, "It is odd. " * 3, "So."]  # 72, 18, 99, 33, 3 long
    traces = [trace(str(i), text) for i, text in enumerate(texts)]
    # by rank 0 and 1 go, by length 2 and 0 would
    assert curate(traces, keep=0.6).length_overlap == 0.5
    assert curate(traces, keep=0.8).length_overlap == 0.0  # 0 goes, 2 is longest
    assert curate(traces, keep=0.6, by="characters").length_overlap == 1.0
    assert math.isnan(curate(traces, keep=1.0).length_overlap)


SHEEP = "A farmer has 17 sheep and buys 25 more at the market; how many sheep stand in the meadow the next morning?"
SUM = "Find the sum of all positive integers below one hundred that are divisible by neither three nor seven."


def test_near_duplicates_and_evaluation_problems() -> None:
    traces = [
        trace("a", prompt=SHEEP),
        trace("a2", prompt=SHEEP, problem_id="p-a", response="It is 42."),  # the same problem again
        trace("b", prompt=SHEEP.replace("morning", "evening")),
        trace("c", prompt=SUM.lower()),
    ]
    curation = curate(traces, keep=1.0, near=0.6, evaluation=[Problem(id="e", prompt=SUM, answer="1")])
    assert kept(curation) == ["a", "a2"]
    assert sorted(dropped(curation)) == [("b", "near duplicate"), ("c", "evaluation")]
    reasons = {drop.trace.id: drop.reason for drop in curation.dropped}
    assert "'p-a'" in reasons["b"] and "'e'" in reasons["c"] and "100%" in reasons["c"]
    only = curate(traces, keep=1.0, evaluation=[Problem(id="e", prompt=SUM, answer="1")])
    assert kept(only) == ["a", "a2", "b"]  # near duplicates stay where nobody asked
    assert kept(curate(traces, keep=1.0)) == ["a", "a2", "b", "c"]


def test_an_evaluation_problem_behind_an_instruction_is_found() -> None:
    told = f"Solve the following problem step by step. Put your final answer within \\boxed{{}}. {SHEEP} Think hard."
    curation = curate([trace("a", prompt=told)], keep=1.0, evaluation=[Problem(id="e", prompt=SHEEP, answer="1")])
    assert dropped(curation) == [("a", "evaluation")] and "stands in its problem" in curation.dropped[0].reason


def test_a_problem_without_sound_traces_makes_no_other_a_duplicate() -> None:
    traces = [trace("a", prompt=SHEEP, correct=False), trace("b", prompt=SHEEP)]
    assert kept(curate(traces, keep=1.0, near=0.8)) == ["b"]


def test_traces_of_one_id_are_told_apart() -> None:
    curation = curate([trace("a", "Perhaps."), trace("a", "So.")], keep=0.5)
    assert [trace.reasoning for trace in curation.kept] == ["So."]
    assert [drop.trace.reasoning for drop in curation.dropped] == ["Perhaps."]


TRACES = st.lists(
    st.builds(
        trace,
        st.sampled_from("abcdef"),
        st.lists(st.sampled_from(["Perhaps. ", "It is odd. ", "So 1 = 1. "]), max_size=5).map("".join),
        correct=st.sampled_from([True, True, True, False, None]),
        truncated=st.sampled_from([False, False, True]),
        teacher=st.sampled_from(["A", "B"]),
        prompt=st.sampled_from([SHEEP, SUM, "?"]),
    ),
    max_size=12,
)


@given(
    TRACES,
    st.floats(0, 1),
    st.sampled_from([name for name in RANKINGS if name != "step_ratio"]),
    st.none() | st.integers(1, 3),
    st.none() | st.just(0.8),
    st.none() | st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost(
    traces: list[Trace], keep: float, by: str, per_problem: int | None, near: float | None, longest: int | None
) -> None:
    curation = curate(traces, keep=keep, by=by, per_problem=per_problem, near=near, longest=longest)
    gone = [drop.trace for drop in curation.dropped]
    assert Counter(map(id, [*curation.kept, *gone])) == Counter(map(id, traces))
    places = [next(i for i, one in enumerate(traces) if one is trace) for trace in curation.kept]
    assert places == sorted(places)
    assert len(curation.control) == len(curation.kept)
    assert all(trace.correct and not trace.truncated for trace in [*curation.kept, *curation.control])
    assert all(drop.reason for drop in curation.dropped)
    if per_problem:
        assert max(Counter(trace.problem_id for trace in curation.kept).values(), default=0) <= per_problem


def test_a_trace_that_is_there_twice_goes_once() -> None:
    one = trace("a", prompt="Which?")
    traces = [one, trace("b"), replace(one, id="c"), replace(one, id="d", response="43"), replace(one)]
    curation = curate(traces, by="none")
    assert kept(curation) == ["a", "b", "d"]
    assert dropped(curation) == [("c", "repeated"), ("a", "repeated")]
    assert curation.dropped[0].reason == "it says what a says, word for word"
    other = replace(one, id="e", meta={"earlier_messages": [{"role": "system", "content": "Be brief."}]})
    assert kept(curate([one, other], by="none")) == ["a", "e"]  # another conversation


def test_dialogues_that_end_alike_are_different_questions() -> None:
    def dialogue(name: str) -> Trace:
        earlier = [{"role": "user", "content": f"{SUM} {name}"}, {"role": "assistant", "content": f"It is {name}."}]
        return replace(trace(name, prompt="Are you sure? Think again."), meta={"earlier_messages": earlier})

    dialogues = [dialogue(name) for name in ("one two three four five", "six seven eight nine ten eleven")]
    other = Problem(
        id="e",
        prompt="Are you sure? Think again.",
        answer="1",
        meta={
            "earlier_messages": [
                {"role": "user", "content": "How many legs have nine spiders and two flies, taken together?"}
            ]
        },
    )
    assert len(curate(dialogues, by="none", near=0.8, evaluation=[other]).kept) == 2
    same = replace(other, meta=dialogues[0].meta)
    assert [drop.rule for drop in curate(dialogues, by="none", evaluation=[same]).dropped] == ["evaluation"]
