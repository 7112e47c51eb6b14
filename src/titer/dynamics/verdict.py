"""What became of each axis and of the run: is it too early to judge, is it done, or has it gone too far?

judgement = judge({"in_domain": AxisCurves(accuracy, terminated, tokens), "safety": ...})
judgement.cost                  # "reasoning rose and safety fell: …", said first
judgement.call, judgement.reason
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from titer.dynamics.axis import MADE_GOOD, PATIENCE, Reading, change_at_last, read_axis
from titer.dynamics.curve import Curve
from titer.dynamics.length import read_length
from titer.dynamics.trend import back_at
from titer.errors import InputError
from titer.records.results import Judgement, Overall, Verdict

REASONING: Final = ("in_domain", "out_of_domain")
REMEDIES: Final = (
    "mix what is to be kept into the training: data.rehearsal, curate.rehearsal",
    "train on the responses without the thinking: curate.thinking=drop",
    "take an earlier checkpoint: evaluate.checkpoints=grid shows which",
)


class AxisCurves(NamedTuple):
    """One axis over the checkpoints: accuracy and, where they are known, the share of completions that end by
    themselves and their mean tokens.

    `parts` holds the accuracies of what the axis' accuracy is the mean of, where it has such halves. `withheld` gives
    the reason why no verdict may be given.
    """

    accuracy: Curve
    terminated: Curve | None = None
    tokens: Curve | None = None
    parts: Mapping[str, Curve] = MappingProxyType({})
    withheld: str = ""


def judge(axes: Mapping[str, AxisCurves]) -> Judgement:
    """A verdict per axis, and one on the run.

    On the run, the first that fits: *overfitting* where an axis fell from an earlier, better checkpoint, and an earlier
    one is the best over all axes; *too early to judge* where an axis dips, or in-domain still rises, or its completions
    still get shorter; *done* where in-domain is settled, improving, recovered or degraded for good; otherwise, and
    where in-domain's verdict is withheld, *cannot tell*. The run is called by readings whose errors are 5 % over all
    axes together. The rules are ours. Raises InputError without an axis or a checkpoint, and for axes of different
    checkpoints.
    """
    if not axes or any(curves.accuracy.last < 1 for curves in axes.values()):
        raise InputError("there is no compared axis to judge", remedy="compare base and checkpoints on an axis")
    _refuse_other_checkpoints(axes)
    verdicts = tuple(_verdict(axis, curves) for axis, curves in axes.items())
    judged = [verdict for verdict in verdicts if not verdict.withheld]
    curves = {verdict.axis: axes[verdict.axis].accuracy for verdict in judged}
    cost = _cost(judged, curves)
    called = _call(judged, curves, axes["in_domain"].withheld if "in_domain" in axes else "")
    return called.judgement(verdicts, cost)


def _refuse_other_checkpoints(axes: Mapping[str, AxisCurves]) -> None:
    (first, curves), *others = axes.items()
    for axis, other in others:
        if other.accuracy.steps != curves.accuracy.steps:
            seen = [", ".join(map(str, one.accuracy.steps)) for one in (curves, other)]
            raise InputError(
                f"{_name(first)} has checkpoints {seen[0]}, {_name(axis)} has {seen[1]}",
                remedy="evaluate every axis at the same checkpoints",
            )


class _Call(NamedTuple):
    """What a run is called, why, the checkpoint to take and the update before which it is too early."""

    call: Overall
    reason: str
    take: int | None = None
    until: int | None = None

    def judgement(self, verdicts: tuple[Verdict, ...], cost: str) -> Judgement:
        """With the verdicts that it comes from."""
        return Judgement(
            call=self.call,
            reason=self.reason,
            axes=verdicts,
            cost=cost,
            remedies=REMEDIES if cost else (),
            take=self.take,
            until=self.until,
        )


def _call(judged: Sequence[Verdict], curves: Mapping[str, Curve], withheld: str) -> _Call:
    """The run as a whole, from the axes that have a verdict; `withheld` says why in-domain has none."""
    if not judged:
        return _Call("cannot tell", "every verdict is withheld")
    sure = {axis: read_axis(curve, axes=len(curves)) for axis, curve in curves.items()}
    best, last = _best_step(curves), judged[0].step
    peaked = [verdict for verdict in judged if sure[verdict.axis].peaked]
    if peaked and 0 < best < last:
        return _Call("overfitting", f"{_names(peaked)} fell from an earlier checkpoint", take=best)
    dipping = [verdict for verdict in judged if sure[verdict.axis].label == "dipping"]
    improving = [verdict for verdict in judged if sure[verdict.axis].label == "improving"]
    if early := _why_early(judged, dipping, improving):
        return _Call("too early to judge", early, until=_until(dipping))
    if withheld:
        return _Call("cannot tell", f"in-domain: {withheld}")
    first = next((verdict for verdict in judged if verdict.axis == "in_domain"), judged[0])
    reading = sure[first.axis]
    if reading.label == "cannot tell":
        alone = f" ({first.label} by itself, not with the 5 % shared among all axes)" * (first.label != reading.label)
        return _Call("cannot tell", f"{_name(first.axis)}: {reading.rule}{alone}")
    lost = [verdict for verdict in judged if sure[verdict.axis].label == "degraded" and verdict is not first]
    reason = f"{_name(first.axis)} is {reading.label}, and no axis dips"
    reason += f"; {_names(lost)} degraded" if lost else ""
    # what in-domain has lost for good is no reason to take the last one
    return _Call("done", reason, take=best if reading.label == "degraded" and best < last else None)


def _verdict(axis: str, curves: AxisCurves) -> Verdict:
    curve = curves.accuracy
    reading = read_axis(curve)
    climbs = reading.label == "dipping" and reading.trough is not None
    return Verdict(
        axis=axis,
        label="cannot tell" if curves.withheld else reading.label,
        rule=curves.withheld or reading.rule,
        step=curve.steps[-1],
        problems=curve.problems,
        base_value=float(curve.mean_T[0]),
        value=float(curve.mean_T[-1]),
        accuracy=curve.change(curve.last),
        terminated=curves.terminated.change(curve.last) if curves.terminated else None,
        tokens=curves.tokens.change(curve.last) if curves.tokens else None,
        length=read_length(curves.tokens) if curves.tokens else "cannot tell",
        path={step: curve.change(place) for place, step in enumerate(curve.steps) if place},
        parts={name: part.change(part.last) for name, part in curves.parts.items()},
        trough=None if reading.trough is None else curve.steps[reading.trough],
        peaked=reading.peaked,
        fell=reading.fell,
        made_good=_made_good(curve, reading),
        lengths=_means(curves.tokens),
        ended=_means(curves.terminated),
        back=back_at(curve, reading.trough) if climbs and reading.trough is not None else None,
        withheld=curves.withheld,
    )


def _means(curve: Curve | None) -> dict[int, float]:
    return dict(zip(curve.steps, curve.mean_T.tolist(), strict=True)) if curve else {}


def _made_good(curve: Curve, reading: Reading) -> int | None:
    """Of a recovered axis the update of the first checkpoint behind the lowest that has made good enough of it."""
    if reading.label != "recovered" or reading.trough is None:
        return None
    change_T = curve.mean_T - curve.mean_T[0]
    enough = (1 - MADE_GOOD) * change_T[reading.trough]
    return next(curve.steps[i] for i in range(reading.trough + 1, curve.last + 1) if change_T[i] >= enough)


def _cost(verdicts: Sequence[Verdict], curves: Mapping[str, Curve]) -> str:
    """That reasoning rose while safety fell, at the level of the labels, with the numbers; empty where it is not so."""
    last = {axis: change_at_last(curve) for axis, curve in curves.items()}
    rose = [v for v in verdicts if v.axis in REASONING and last[v.axis].low > 0]
    fell = [v for v in verdicts if v.axis == "safety" and last[v.axis].high < 0]
    if not rose or not fell:
        return ""
    return f"{_changes(rose)} rose while {_changes(fell)} fell"


def _why_early(verdicts: Sequence[Verdict], dipping: Sequence[Verdict], improving: Sequence[Verdict]) -> str:
    """Why it is too early; empty where it is not."""
    if dipping:
        verb = "are" if len(dipping) > 1 else "is"
        return f"{_names(dipping)} {verb} below the base as in a dip, of which published ones were made good later"
    first = next((verdict for verdict in verdicts if verdict.axis == "in_domain"), None)
    if first and first.length == "contracting":
        return "in-domain completions still get shorter, which marks an unfinished training"
    if first and first in improving and _rises(first):
        return "in-domain still rises from checkpoint to checkpoint"
    return ""


def _rises(verdict: Verdict) -> bool:
    """Whether the last change lies above the interval of the one before."""
    changes = list(verdict.path.values())
    return len(changes) > 1 and changes[-1].mid > changes[-2].high


def _until(dipping: Sequence[Verdict]) -> int | None:
    """The update before which a dipping axis cannot be judged: where its climb meets the base, and where that is not
    known, so many times the update by which it fell as published dips took; never one that is past."""
    found = [
        math.ceil(v.back.mid) if v.back and v.back.mid > v.step else max(PATIENCE * v.fell, 2 * v.step)
        for v in dipping
        if v.fell is not None
    ]
    return max(found, default=None)


def _best_step(curves: Mapping[str, Curve]) -> int:
    """The checkpoint with the highest mean change over the axes, the base among them."""
    mean_T = np.mean([curve.mean_T - curve.mean_T[0] for curve in curves.values()], axis=0)
    steps = next(iter(curves.values())).steps
    return steps[int(np.argmax(mean_T))]


def _changes(verdicts: Sequence[Verdict]) -> str:
    points = {v.axis: [100 * end for end in v.accuracy] for v in verdicts}
    return " and ".join(
        f"{_name(axis)} ({mid:+.1f} points [{low:+.1f}, {high:+.1f}])" for axis, (low, mid, high) in points.items()
    )


def _names(verdicts: Sequence[Verdict]) -> str:
    return " and ".join(_name(verdict.axis) for verdict in verdicts)


def _name(axis: str) -> str:
    return axis.replace("_", "-")
