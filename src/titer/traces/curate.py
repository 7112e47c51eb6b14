"""Which traces are trained on, and why the others are not.

curation = curate(traces, keep=0.9)
curation.kept, curation.dropped[0].reason, curation.control

The order of the rules: unsound traces go first (cut, empty, wrong, not verified), then those that repeat an earlier
one word for word (how often a trace is shown is the training's to say), then those of evaluation problems and of
near-duplicate problems, then those outside the bounds of length, then the branchiest, and at last what exceeds a
problem's share. Every trace that goes is listed with the rule and its numbers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.errors import InputError
from titer.records import Problem, Trace, find_repeats
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
Sieve = Callable[[Trace], tuple[Rule, str] | None]  # which rule drops a trace, and why; None lets it through
STEP_RATIO = "step_ratio"
NEAR_EVALUATION = 0.8  # Jaccard similarity to an evaluation problem that drops a trace, where none is given
RANKINGS = ("none", STEP_RATIO, *FEATURES)


class Dropped(NamedTuple):
    """A trace that is not trained on. `rule` names the filter, `reason` the numbers."""

    trace: Trace
    rule: Rule
    reason: str


class Curation(NamedTuple):
    """Kept traces in their old order, and the dropped ones.

    `cutoff` is the largest ranked value that was kept (nan without a ranking). `unranked` counts kept traces that have
    no rank, as `step_ratio` gives none without a pair. `control` is as many traces as `kept`, drawn at random from
    those that the rules before the ranking let through, with as many of a problem at most: a gain over it is due to
    the choice, not to the number. Dropping as many traces by length alone would drop those of more than
    `length_cutoff` characters, and `length_overlap` of the ones dropped by rank (0 and nan where none was).
    """

    kept: list[Trace]
    dropped: list[Dropped]
    cutoff: float
    unranked: int
    control: list[Trace]
    length_cutoff: int
    length_overlap: float


def curate(
    traces: Sequence[Trace],
    *,
    keep: float = 0.9,
    by: str = "cue_share",
    verified: bool = True,
    finished: bool = True,
    per_problem: int | None = None,
    shortest: int | None = None,
    longest: int | None = None,
    near: float | None = None,
    evaluation: Iterable[Problem] = (),
    paired_with: str = "",
    seed: int = 0,
) -> Curation:
    """Drop what is unsound, then the `1 - keep` of the rest that rank highest, then what exceeds `per_problem`.

    `by` is a feature of `titer.traces.FEATURES` (the default is the second proxy of arXiv 2604.01702, which keeps
    0.9), `step_ratio` (its first proxy, against the traces of the teacher `paired_with`, whose own traces and those
    without a pair are not ranked and stay), or none. Among equals the longer trace goes first (ours: ties are common
    with short traces). `shortest` and `longest` bound the characters of a trace. `near` drops traces of problems whose
    prompts resemble an earlier one at that Jaccard similarity. Traces of problems that resemble an `evaluation`
    problem (at `near`, or .8), or hold its whole prompt, always go. Raises InputError for an unknown `by`, a `keep`
    outside [0, 1], or a pairing that finds nobody.
    """
    if by not in RANKINGS:
        raise InputError(f"no feature {by!r} to rank by", field="by", remedy=f"use one of: {', '.join(RANKINGS)}")
    if not 0 <= keep <= 1:
        raise InputError(f"keep is {keep}", field="keep", remedy="give a share from 0 to 1")
    dropped = list[Dropped]()
    sound = _sift(traces, lambda trace: _unsound(trace, verified=verified, finished=finished), dropped)
    sound = _sift(sound, _repeat_rule(sound), dropped)
    sound = _sift(sound, _near_rule(sound, list(evaluation), near), dropped)
    sound = _sift(sound, lambda trace: _bounds(trace, shortest, longest), dropped)
    values, lengths = _rank_values(sound, by, paired_with, traces), [len(text_of(trace)) for trace in sound]
    order = sorted(range(len(sound)), key=lambda i: (values[i], lengths[i], sound[i].id))  # -inf: without a rank
    ranked = [i for i in order if values[i] > -np.inf]
    count = len(sound) if by == "none" else len(order) - len(ranked) + _share_of(keep, len(ranked))
    by_rank = order[count:]
    cutoff = float(values[order[count - 1]]) if by != "none" and count > len(order) - len(ranked) else float("nan")
    dropped += [Dropped(sound[i], "branching", _behind(by, values[i], cutoff, keep)) for i in by_rank]
    first = dict[str, str]()
    for i, too_many in zip(order, _crowded([sound[i].problem_id for i in order[:count]], per_problem), strict=False):
        winner = first.setdefault(sound[i].problem_id, sound[i].id)
        if too_many:
            reason = f"{per_problem} better ranked of its problem kept, {winner} the best"
            dropped.append(Dropped(sound[i], "per problem", reason))
    gone = {id(drop.trace) for drop in dropped}
    kept = [trace for trace in sound if id(trace) not in gone]
    return Curation(
        kept,
        dropped,
        cutoff,
        sum(not values[i] > -np.inf for i in order[:count]) if by == STEP_RATIO else 0,
        _control(sound, len(kept), per_problem, seed),
        *_by_length(lengths, by_rank),
    )


def step_ratios(traces: Sequence[Trace], paired_with: str, among: Sequence[Trace] | None = None) -> NDArray[np.float64]:
    """Proxy 1 of arXiv 2604.01702: (steps − steps of the paired teacher's trace) / those, per trace.

    The pairs are looked for `among` other traces, by default the same; of several of one problem the mean counts. nan
    for the paired teacher's own traces, and for problems that it has no trace of. How the paper writes the ratio is
    not published; the normalisation is ours.
    """
    convergent = [trace for trace in among or traces if paired_with.lower() in trace.teacher.lower()]
    paired: dict[str, list[float]] = {}
    for trace, steps in zip(convergent, measure_texts([text_of(trace) for trace in convergent])["steps"], strict=True):
        if steps:
            paired.setdefault(trace.problem_id, []).append(float(steps))
    if not paired_with or not paired:
        raise InputError(
            f"no trace by a teacher like {paired_with!r} to pair with",
            field="paired_with",
            remedy="name the convergent teacher whose traces of the same problems stand in the file",
        )
    mates = np.array(
        [
            np.nan
            if paired_with.lower() in trace.teacher.lower() or trace.problem_id not in paired
            else np.mean(paired[trace.problem_id])
            for trace in traces
        ]
    )
    return np.asarray((measure_texts([text_of(trace) for trace in traces])["steps"] - mates) / mates)


def _rank_values(traces: Sequence[Trace], by: str, paired_with: str, among: Sequence[Trace]) -> NDArray[np.float64]:
    """What the traces are ranked by; −inf where `step_ratio` has no pair. A share of nothing counts as 0."""
    if by == "none" or not traces:
        return np.zeros(len(traces))
    if by == STEP_RATIO:
        return np.nan_to_num(step_ratios(traces, paired_with, among), nan=-np.inf)
    return np.nan_to_num(measure_texts([text_of(trace) for trace in traces])[by], nan=0.0)


def _share_of(keep: float, count: int) -> int:
    """How many are kept: of anything at least one, unless nothing is to be kept."""
    return max(round(keep * count), min(1, count)) if keep else 0


def _behind(by: str, value: float, cutoff: float, keep: float) -> str:
    equal = ", longer than equal ones" if value == cutoff else ""
    return f"{by} {value:.3f} ranks behind the kept {keep:.0%}{equal}"


def _sift(traces: Sequence[Trace], rule: Sieve, dropped: list[Dropped]) -> list[Trace]:
    """The traces that the rule lets through; the others join `dropped`."""
    faults = [rule(trace) for trace in traces]
    dropped += [Dropped(trace, *fault) for trace, fault in zip(traces, faults, strict=True) if fault]
    return [trace for trace, fault in zip(traces, faults, strict=True) if not fault]


def _unsound(trace: Trace, *, verified: bool, finished: bool) -> tuple[Rule, str] | None:
    if finished and trace.truncated:
        return "truncated", "the thinking never closed, or the length limit cut it"
    if finished and not trace.response.strip():
        return "empty", "there is no response after the thinking"
    if verified and trace.correct is None:
        return "not verified", "its answer could not be graded"
    if verified and not trace.correct:
        return "wrong", "its answer does not verify"
    return None


def _bounds(trace: Trace, shortest: int | None, longest: int | None) -> tuple[Rule, str] | None:
    length = len(text_of(trace))
    if shortest is not None and length < shortest:
        return "length", f"{length} characters, fewer than {shortest}"
    if longest is not None and length > longest:
        return "length", f"{length} characters, more than {longest}"
    return None


def _repeat_rule(traces: Sequence[Trace]) -> Sieve:
    again, places = dict(find_repeats(traces)), count()

    def rule(_: Trace) -> tuple[Rule, str] | None:  # asked once of each, in order
        earlier = again.get(next(places))
        return ("repeated", f"it says what {earlier} says, word for word") if earlier is not None else None

    return rule


def _near_rule(traces: Sequence[Trace], evaluation: Sequence[Problem], near: float | None) -> Sieve:
    if not near and not evaluation:
        return lambda trace: None
    prompts = {trace.problem_id: trace.prompt for trace in reversed(traces)}
    ordered = {trace.problem_id: prompts[trace.problem_id] for trace in traces}
    against = {problem.id: problem.prompt for problem in evaluation}
    found = near_duplicates(ordered, threshold=near or NEAR_EVALUATION, against=against, among=bool(near))

    def rule(trace: Trace) -> tuple[Rule, str] | None:
        twin = found.get(trace.problem_id)
        if twin is None:
            return None
        if twin.inside:
            return "evaluation", f"{twin.similarity:.0%} of evaluation problem {twin.id!r} stands in its problem"
        what = "evaluation problem" if twin.evaluation else "earlier problem"
        return "evaluation" if twin.evaluation else "near duplicate", (
            f"its problem resembles {what} {twin.id!r} (Jaccard {twin.similarity:.2f})"
        )

    return rule


def _crowded(ranked: Sequence[str], most: int | None) -> list[bool]:
    """Which traces exceed `most` of one problem, given the problem of each, the least branching first."""
    counts, crowded = Counter[str](), list[bool]()
    for problem in ranked:
        counts[problem] += 1
        crowded.append(bool(most) and counts[problem] > (most or 0))
    return crowded


def _control(sound: Sequence[Trace], count: int, per_problem: int | None, seed: int) -> list[Trace]:
    """Traces drawn at random under the same bound per problem; which ones, the order of `sound` does not decide."""
    drawn = sorted(range(len(sound)), key=lambda i: sound[i].id)
    random.Random(f"control:{seed}").shuffle(drawn)
    crowded = _crowded([sound[i].problem_id for i in drawn], per_problem)
    free = [i for i, too_many in zip(drawn, crowded, strict=True) if not too_many]
    return [sound[i] for i in sorted(free[:count])]


def _by_length(lengths: Sequence[int], by_rank: Sequence[int]) -> tuple[int, float]:
    """From where on a length filter would drop as many, and the share of `by_rank` that it would drop too."""
    if not by_rank:
        return 0, float("nan")
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    longest = order[: len(by_rank)]
    rest = lengths[order[len(by_rank)]] if len(order) > len(by_rank) else 0
    return rest, len(set(longest) & set(by_rank)) / len(by_rank)
