"""Which traces are trained on, and why the others are not.

curation = curate(traces, keep=0.9)
curation.kept, curation.dropped[0].reason, curation.control

The rules and their order are those of `titer.traces.choice`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from titer.records import Problem, Trace
from titer.traces.choice import Rule, choose, facts_of


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
    exact: bool = False,
    seed: int = 0,
) -> Curation:
    """Drop what is unsound, then the `1 - keep` of the rest that rank highest, then what exceeds `per_problem`.

    `by` is a feature of `titer.traces.FEATURES` (the default is the second proxy of arXiv 2604.01702, which keeps
    0.9), `step_ratio` (its first proxy, against the traces of the teacher `paired_with`, whose own traces and those
    without a pair are not ranked and stay), or none. Traces that have none of the feature stay, however many they are,
    unless the share is to be `exact`; among equals the longer trace goes first (both are ours: ties are common with
    short traces). `shortest` and `longest` bound the characters of a trace. `near` drops traces of problems whose
    prompts resemble an earlier one at that Jaccard similarity. Traces of problems that resemble an `evaluation`
    problem (at `near`, or .8), or hold its whole prompt, always go. Raises InputError for an unknown `by`, a `keep`
    outside [0, 1], or a pairing that finds nobody.
    """
    facts = facts_of(traces, by=by, verified=verified, finished=finished)
    choice = choose(
        facts,
        keep=keep,
        by=by,
        per_problem=per_problem,
        shortest=shortest,
        longest=longest,
        near=near,
        evaluation=evaluation,
        paired_with=paired_with,
        exact=exact,
        seed=seed,
    )
    return Curation(
        [traces[i] for i in choice.kept],
        [Dropped(traces[drop.place], drop.rule, drop.reason) for drop in choice.dropped],
        choice.cutoff,
        choice.unranked,
        [traces[i] for i in choice.control],
        choice.length_cutoff,
        choice.length_overlap,
    )
