"""Which traces to keep, decided from what is known of each, without its text.

facts = facts_of(traces, by="cue_share", verified=True, finished=True)
choice = choose(facts, keep=0.9)
[traces[i] for i in choice.kept], choice.dropped[0].reason

The two halves of `titer.traces.curate`: what is known of a trace is found where the trace lies, on any machine; the
choice needs all traces at once, but only so much of each.

The order of the rules: unsound traces go first (cut, empty, wrong, not verified), then those that repeat an earlier
one word for word (how often a trace is shown is the training's to say), then those of evaluation problems and of
near-duplicate problems, then those outside the bounds of length, then the branchiest, and at last what exceeds a
problem's share. Every trace that goes is listed with the rule and its numbers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.errors import InputError
from titer.records import Problem, Trace, question, repeats_among, wording
from titer.traces.features import FEATURES, measure_texts
from titer.traces.near import near_duplicates
from titer.traces.steps import text_of

Rule = Literal[
    "truncated",
    "wrong",
    "not verified",
    "empty",
    "repeated",
    "evaluation",
    "near duplicate",
    "length",
    "branching",
    "per problem",
]
Fault = tuple[Rule, str]  # which rule drops a trace, and why
STEP_RATIO = "step_ratio"
NEAR_EVALUATION = 0.8  # Jaccard similarity to an evaluation problem that drops a trace, where none is given
RANKINGS = ("none", STEP_RATIO, *FEATURES)


class Facts(NamedTuple):
    """What the choice needs to know of a trace.

    `question` is its prompt with the turns before it; `wording` is equal for traces that say the same word for word;
    `length` counts characters; `fault` is the rule of soundness that it breaks, and why; `value` is the feature to rank
    by, the number of steps for `step_ratio`, and nan where it was not measured.
    """

    id: str
    problem_id: str
    teacher: str
    question: str
    wording: str
    length: int
    fault: Fault | None
    value: float


class Drop(NamedTuple):
    """The place of a trace that is not kept. `rule` names the filter, `reason` the numbers."""

    place: int
    rule: Rule
    reason: str


class Choice(NamedTuple):
    """Places of the kept traces and of the control, in their old order, and the dropped ones; see `Curation`."""

    kept: list[int]
    dropped: list[Drop]
    cutoff: float
    unranked: int
    control: list[int]
    length_cutoff: int
    length_overlap: float


def facts_of(traces: Sequence[Trace], *, by: str, verified: bool, finished: bool) -> list[Facts]:
    """What the choice needs to know of each trace. Raises InputError for an unknown `by`."""
    _refuse_unknown(by)
    texts, faults = [text_of(trace) for trace in traces], [_unsound(trace, verified, finished) for trace in traces]
    values = np.full(len(traces), np.nan)
    if by != "none":
        # an unsound trace is not ranked, but others may be paired with it
        asked = [i for i, fault in enumerate(faults) if by == STEP_RATIO or not fault]
        values[asked] = measure_texts([texts[i] for i in asked])["steps" if by == STEP_RATIO else by]
    return [
        Facts(
            trace.id, trace.problem_id, trace.teacher, question(trace), wording(trace), len(text), fault, float(value)
        )
        for trace, text, fault, value in zip(traces, texts, faults, values, strict=True)
    ]


def refuse_contradictions(by: str, shortest: int | None, longest: int | None, paired_with: str) -> None:
    """Raise InputError for settings of which one has no use, or leaves nothing to choose from."""
    _refuse_unknown(by)
    if shortest is not None and longest is not None and shortest > longest:
        fault = f"shortest is {shortest}, longest {longest}: no trace is both"
        raise InputError(fault, field="shortest", remedy="give the smaller number as shortest")
    if paired_with and by != STEP_RATIO:
        fault = f"{paired_with!r} to pair with, but {by} ranks by no pairs"
        raise InputError(fault, field="paired_with", remedy=f"rank by {STEP_RATIO}, or name no teacher")
    if by == STEP_RATIO and not paired_with:
        raise InputError(f"{by} without a teacher to pair with", field="paired_with", remedy="name the teacher")


def choose(
    facts: Sequence[Facts],
    *,
    keep: float = 0.9,
    by: str = "cue_share",
    per_problem: int | None = None,
    shortest: int | None = None,
    longest: int | None = None,
    near: float | None = None,
    evaluation: Iterable[Problem] = (),
    paired_with: str = "",
    exact: bool = False,
    seed: int = 0,
) -> Choice:
    """Choose among traces of which these are the facts, measured for the same `by`; the settings are `curate`'s.

    Raises InputError for a `keep` outside [0, 1], and for a pairing that finds nobody.
    """
    if not 0 <= keep <= 1:
        raise InputError(f"keep is {keep}", field="keep", remedy="give a share from 0 to 1")
    dropped = list[Drop]()
    sound = _sift(range(len(facts)), lambda i: facts[i].fault, dropped)
    sound = _sift(sound, _repeat_rule(facts, sound), dropped)
    sound = _sift(sound, _near_rule(facts, sound, list(evaluation), near), dropped)
    sound = _sift(sound, lambda i: _bounds(facts[i].length, shortest, longest), dropped)
    values = _rank_values(facts, sound, by, paired_with)
    order = sorted(sound, key=lambda i: (values[i], facts[i].length, facts[i].id))  # -inf: without a rank
    ranked = sum(values[i] > -np.inf for i in order)
    count = len(sound) if by == "none" else len(order) - ranked + _share_of(keep, ranked)
    if keep and not exact and by != STEP_RATIO:  # what has none of it is not dropped for it: it would be for its length
        count = max(count, sum(values[i] == 0 for i in order))
    by_rank = order[count:]
    cutoff = values[order[count - 1]] if by != "none" and count > len(order) - ranked else float("nan")
    dropped += [Drop(i, "branching", _behind(by, values[i], cutoff, keep)) for i in by_rank]
    dropped += _too_many(facts, order[:count], per_problem)
    gone = {drop.place for drop in dropped}
    kept = [i for i in sound if i not in gone]
    return Choice(
        kept,
        dropped,
        cutoff,
        sum(not values[i] > -np.inf for i in order[:count]) if by == STEP_RATIO else 0,
        _control(facts, sound, len(kept), per_problem, seed),
        *_by_length(facts, sound, by_rank),
    )


def step_ratios(facts: Sequence[Facts], paired_with: str) -> NDArray[np.float64]:
    """Proxy 1 of arXiv 2604.01702: (steps − steps of the paired teacher's trace) / those, per trace.

    Of several paired traces of one problem the mean counts. nan for the paired teacher's own traces, and for problems
    that it has no trace of. How the paper writes the ratio is not published; the normalisation is ours.
    """
    paired: dict[str, list[float]] = {}
    convergent = [paired_with.lower() in fact.teacher.lower() for fact in facts]
    for fact, mate in zip(facts, convergent, strict=True):
        if mate and fact.value:
            paired.setdefault(fact.problem_id, []).append(fact.value)
    if not paired_with or not paired:
        raise InputError(
            f"no trace by a teacher like {paired_with!r} to pair with",
            field="paired_with",
            remedy="name the convergent teacher whose traces of the same problems stand in the file",
        )
    mates = np.array(
        [
            np.nan if mate or fact.problem_id not in paired else np.mean(paired[fact.problem_id])
            for fact, mate in zip(facts, convergent, strict=True)
        ]
    )
    return np.asarray((np.array([fact.value for fact in facts]) - mates) / mates)


def _refuse_unknown(by: str) -> None:
    if by not in RANKINGS:
        raise InputError(f"no feature {by!r} to rank by", field="by", remedy=f"use one of: {', '.join(RANKINGS)}")


def _rank_values(facts: Sequence[Facts], sound: Sequence[int], by: str, paired_with: str) -> list[float]:
    """What each is ranked by; −inf where `step_ratio` has no pair. A share of nothing counts as 0."""
    if by == "none" or not sound:
        return [0.0] * len(facts)
    if by == STEP_RATIO:
        return [float(value) for value in np.nan_to_num(step_ratios(facts, paired_with), nan=-np.inf)]
    return [0.0 if np.isnan(fact.value) else fact.value for fact in facts]


def _share_of(keep: float, count: int) -> int:
    """How many are kept: of anything at least one, unless nothing is to be kept."""
    return max(round(keep * count), min(1, count)) if keep else 0


def _behind(by: str, value: float, cutoff: float, keep: float) -> str:
    equal = ", longer than equal ones" if value == cutoff else ""
    return f"{by} {value:.3f} ranks behind the kept {keep:.0%}{equal}"


def _sift(places: Sequence[int], rule: Callable[[int], Fault | None], dropped: list[Drop]) -> list[int]:
    """The places that the rule lets through; the others join `dropped`."""
    faults = {place: rule(place) for place in places}
    dropped += [Drop(place, *fault) for place, fault in faults.items() if fault]
    return [place for place, fault in faults.items() if not fault]


def _unsound(trace: Trace, verified: bool, finished: bool) -> Fault | None:
    if finished and trace.truncated:
        return "truncated", "the thinking never closed, or the length limit cut it"
    if finished and not trace.response.strip():
        return "empty", "there is no response after the thinking"
    if verified and trace.correct is None:
        return "not verified", "its answer could not be graded"
    if verified and not trace.correct:
        return "wrong", "its answer does not verify"
    return None


def _bounds(length: int, shortest: int | None, longest: int | None) -> Fault | None:
    if shortest is not None and length < shortest:
        return "length", f"{length} characters, fewer than {shortest}"
    if longest is not None and length > longest:
        return "length", f"{length} characters, more than {longest}"
    return None


def _repeat_rule(facts: Sequence[Facts], sound: Sequence[int]) -> Callable[[int], Fault | None]:
    found = repeats_among((facts[i].wording, facts[i].id) for i in sound)
    again = {sound[place]: earlier for place, earlier in found}
    return lambda i: ("repeated", f"it says what {again[i]} says, word for word") if i in again else None


def _near_rule(
    facts: Sequence[Facts], sound: Sequence[int], evaluation: Sequence[Problem], near: float | None
) -> Callable[[int], Fault | None]:
    if not near and not evaluation:
        return lambda _: None
    prompts = dict[str, str]()
    for i in sound:
        prompts.setdefault(facts[i].problem_id, facts[i].question)
    against = {problem.id: question(problem) for problem in evaluation}
    found = near_duplicates(prompts, threshold=near or NEAR_EVALUATION, against=against, among=bool(near))

    def rule(i: int) -> Fault | None:
        twin = found.get(facts[i].problem_id)
        if twin is None:
            return None
        if twin.inside:
            return "evaluation", f"{twin.similarity:.0%} of evaluation problem {twin.id!r} stands in its problem"
        what = "evaluation problem" if twin.evaluation else "earlier problem"
        return "evaluation" if twin.evaluation else "near duplicate", (
            f"its problem resembles {what} {twin.id!r} (Jaccard {twin.similarity:.2f})"
        )

    return rule


def _too_many(facts: Sequence[Facts], order: Sequence[int], most: int | None) -> list[Drop]:
    """Those that exceed `most` of one problem, given the places from the least branching on."""
    first, drops = dict[str, str](), list[Drop]()
    for i, too_many in zip(order, _crowded([facts[i].problem_id for i in order], most), strict=True):
        best = first.setdefault(facts[i].problem_id, facts[i].id)
        if too_many:
            drops.append(Drop(i, "per problem", f"{most} better ranked of its problem kept, {best} the best"))
    return drops


def _crowded(ranked: Sequence[str], most: int | None) -> list[bool]:
    """Which traces exceed `most` of one problem, given the problem of each, the least branching first."""
    counts, crowded = Counter[str](), list[bool]()
    for problem in ranked:
        counts[problem] += 1
        crowded.append(bool(most) and counts[problem] > (most or 0))
    return crowded


def _control(facts: Sequence[Facts], sound: Sequence[int], count: int, per_problem: int | None, seed: int) -> list[int]:
    """Places drawn at random under the same bound per problem; which ones, the order of the traces does not decide."""
    drawn = sorted(sound, key=lambda i: facts[i].id)
    random.Random(f"control:{seed}").shuffle(drawn)
    crowded = _crowded([facts[i].problem_id for i in drawn], per_problem)
    free = [i for i, too_many in zip(drawn, crowded, strict=True) if not too_many]
    return sorted(free[:count])


def _by_length(facts: Sequence[Facts], sound: Sequence[int], by_rank: Sequence[int]) -> tuple[int, float]:
    """From where on a length filter would drop as many, and the share of `by_rank` that it would drop too."""
    if not by_rank:
        return 0, float("nan")
    order = sorted(sound, key=lambda i: -facts[i].length)
    longest = order[: len(by_rank)]
    rest = facts[order[len(by_rank)]].length if len(order) > len(by_rank) else 0
    return rest, len(set(longest) & set(by_rank)) / len(by_rank)
