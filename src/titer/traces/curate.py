"""Which traces are trained on, and why the others are not.

curation = curate(traces, keep=0.9)
curation.kept, curation.dropped[0].reason, curation.control

The order of the rules: unsound traces go first (cut, empty, wrong, not verified), then those of evaluation problems
and of near-duplicate problems, then those outside the bounds of length, then the branchiest, and at last what exceeds
a problem's share. Every trace that goes is listed with the rule and its numbers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.errors import InputError
from titer.records import Problem, Trace
from titer.traces.features import FEATURES, measure_texts
from titer.traces.near import near_duplicates
from titer.traces.steps import text_of

Rule = Literal[
    "truncated", "wrong", "not verified", "empty", "evaluation", "near duplicate", "length", "branching", "per problem"
]
Sieve = Callable[[Trace], tuple[Rule, str] | None]  # which rule drops a trace, and why; None lets it through
STEP_RATIO = "step_ratio"
RANKINGS = ("none", STEP_RATIO, *FEATURES)


class Dropped(NamedTuple):
    """A trace that is not trained on. `rule` names the filter, `reason` the numbers."""

    trace: Trace
    rule: Rule
    reason: str


class Curation(NamedTuple):
    """Kept traces in their old order, and the dropped ones.

    `cutoff` is the largest ranked value that was kept (nan without a ranking). `control` is as many traces as
    `kept`, drawn at random from those that the rules before the ranking let through: a gain over it is due to the
    choice, not to the number. `length_overlap` is the share of the traces dropped by rank that dropping as many
    of the longest would have dropped too (nan where none was dropped).
    """

    kept: list[Trace]
    dropped: list[Dropped]
    cutoff: float
    control: list[Trace]
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
    0.9), `step_ratio` (its first proxy, against the traces of the teacher `paired_with`), or none. Among equals the
    longer trace goes first (ours: ties are common with short traces). `shortest` and `longest` bound the characters
    of a trace; `near` drops traces of problems whose prompts resemble an earlier one at that Jaccard similarity, and
    resemble an `evaluation` problem. Raises InputError for an unknown `by` or a pairing that finds nobody.
    """
    if by not in RANKINGS:
        raise InputError(f"no feature {by!r} to rank by", field="by", remedy=f"use one of: {', '.join(RANKINGS)}")
    if not 0 <= keep <= 1:
        raise InputError(f"keep is {keep}", field="keep", remedy="give a share from 0 to 1")
    dropped = list[Dropped]()
    sound = _sift(traces, lambda trace: _unsound(trace, verified=verified, finished=finished), dropped)
    if near:
        sound = _sift(sound, _near_rule(sound, evaluation, near), dropped)
    sound = _sift(sound, lambda trace: _bounds(trace, shortest, longest), dropped)
    values, lengths = _rank_values(sound, by, paired_with), [len(text_of(trace)) for trace in sound]
    order = sorted(range(len(sound)), key=lambda i: (values[i], lengths[i], sound[i].id))
    count = len(sound) if by == "none" else max(min(1, len(sound)), round(keep * len(sound)))
    by_rank = order[count:]
    cutoff = float(values[order[count - 1]]) if by != "none" and count else float("nan")
    dropped += [
        Dropped(sound[i], "branching", f"{by} {values[i]:.3f} ranks behind the kept {keep:.0%}") for i in by_rank
    ]
    crowded = _crowded([sound[i].problem_id for i in order[:count]], per_problem)
    dropped += [
        Dropped(sound[i], "per problem", f"{per_problem} better ranked traces of {sound[i].problem_id} are kept")
        for i, too_many in zip(order, crowded, strict=False)
        if too_many
    ]
    kept = [sound[i] for i in sorted(i for i, too_many in zip(order, crowded, strict=False) if not too_many)]
    return Curation(kept, dropped, cutoff, _control(sound, len(kept), seed), _length_overlap(lengths, by_rank))


def step_ratios(traces: Sequence[Trace], paired_with: str) -> NDArray[np.float64]:
    """Proxy 1 of arXiv 2604.01702: (steps − steps of the paired teacher's trace) / those, per trace.

    nan for the paired teacher's own traces, and for problems that it has no trace of. How the paper writes the ratio
    is not published; the normalisation is ours.
    """
    steps = measure_texts([text_of(trace) for trace in traces])["steps"]
    convergent = [paired_with.lower() in trace.teacher.lower() for trace in traces]
    paired = {trace.problem_id: n for trace, n, mate in zip(traces, steps, convergent, strict=True) if mate and n > 0}
    if not paired_with or not paired:
        raise InputError(
            f"no trace by a teacher like {paired_with!r} to pair with",
            field="paired_with",
            remedy="name the convergent teacher whose traces of the same problems stand in the file",
        )
    mates = np.array(
        [np.nan if mate else paired.get(t.problem_id, np.nan) for t, mate in zip(traces, convergent, strict=True)]
    )
    return np.asarray((steps - mates) / mates)


def _rank_values(traces: Sequence[Trace], by: str, paired_with: str) -> NDArray[np.float64]:
    """What the traces are ranked by; what cannot be ranked counts as least."""
    if by == "none" or not traces:
        return np.zeros(len(traces))
    if by == STEP_RATIO:
        return np.nan_to_num(step_ratios(traces, paired_with), nan=-np.inf)
    return np.nan_to_num(measure_texts([text_of(trace) for trace in traces])[by], nan=0.0)


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


def _near_rule(traces: Sequence[Trace], evaluation: Iterable[Problem], threshold: float) -> Sieve:
    prompts = {trace.problem_id: trace.prompt for trace in reversed(traces)}
    ordered = {trace.problem_id: prompts[trace.problem_id] for trace in traces}
    found = near_duplicates(ordered, threshold=threshold, against={p.id: p.prompt for p in evaluation})

    def rule(trace: Trace) -> tuple[Rule, str] | None:
        twin = found.get(trace.problem_id)
        if twin is None:
            return None
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


def _control(sound: Sequence[Trace], count: int, seed: int) -> list[Trace]:
    chosen = set(random.Random(f"control:{seed}").sample(range(len(sound)), count))
    return [trace for i, trace in enumerate(sound) if i in chosen]


def _length_overlap(lengths: Sequence[int], by_rank: Sequence[int]) -> float:
    if not by_rank:
        return float("nan")
    longest = sorted(range(len(lengths)), key=lambda i: -lengths[i])[: len(by_rank)]
    return len(set(longest) & set(by_rank)) / len(by_rank)
