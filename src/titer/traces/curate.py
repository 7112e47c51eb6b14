"""Which traces are trained on, and why the others are not.

curation = curate(traces, keep=0.9)
curation.kept, curation.dropped[0].reason
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from titer.records import Trace
from titer.traces.steps import cue_share, steps


class Dropped(NamedTuple):
    """A trace that is not trained on. `rule` names the filter, `reason` the numbers."""

    trace: Trace
    rule: Literal["truncated", "wrong", "not verified", "empty", "branching", "one problem's share"]
    reason: str


class Curation(NamedTuple):
    """Kept traces in their old order, and the dropped ones. `cutoff` is the largest cue share that was kept."""

    kept: list[Trace]
    dropped: list[Dropped]
    cutoff: float


def curate(
    traces: Sequence[Trace],
    *,
    keep: float = 0.9,
    by: Literal["cue_share", "none"] = "cue_share",
    verified: bool = True,
    per_problem: int | None = None,
) -> Curation:
    """Drop what is unsound, then the branchiest `1 - keep` of the rest, then what exceeds `per_problem`.

    The ranking is the second proxy of arXiv 2604.01702, which keeps 0.9. Among equally branchy traces the longer
    one goes first (ours: ties are common with short traces).
    """
    dropped = [fault for trace in traces if (fault := _fault(trace, verified))]
    unsound = {drop.trace.id for drop in dropped}
    sound = [trace for trace in traces if trace.id not in unsound]
    ranked = sorted(sound, key=_branchiness) if by == "cue_share" else sound
    kept = ranked[: max(1, round(keep * len(ranked)))] if by == "cue_share" else ranked
    cutoff = max((cue_share(trace.reasoning) for trace in kept), default=0.0)
    dropped += [
        Dropped(trace, "branching", f"cue share {cue_share(trace.reasoning):.3f} ranks behind the kept {keep:.0%}")
        for trace in ranked[len(kept) :]
    ]
    if per_problem:
        dropped += list(_crowded(sorted(kept, key=_branchiness), per_problem))
    gone = {drop.trace.id for drop in dropped}
    return Curation([trace for trace in traces if trace.id not in gone], dropped, cutoff)


def _fault(trace: Trace, verified: bool) -> Dropped | None:
    if trace.truncated:
        return Dropped(trace, "truncated", "the thinking never closed, or the length limit cut it")
    if not trace.response.strip():
        return Dropped(trace, "empty", "there is no response after the thinking")
    if verified and trace.correct is None:
        return Dropped(trace, "not verified", "its answer could not be graded")
    if verified and not trace.correct:
        return Dropped(trace, "wrong", "its answer does not verify")
    return None


def _branchiness(trace: Trace) -> tuple[float, int, str]:
    return cue_share(trace.reasoning), len(steps(trace.reasoning)), trace.id


def _crowded(ranked: Sequence[Trace], most: int) -> Iterator[Dropped]:
    """What exceeds `most` traces of one problem, given the least branching first."""
    counts: dict[str, int] = {}
    for trace in ranked:
        counts[trace.problem_id] = counts.get(trace.problem_id, 0) + 1
        if counts[trace.problem_id] > most:
            yield Dropped(trace, "one problem's share", f"{most} less branching traces of {trace.problem_id} are kept")
