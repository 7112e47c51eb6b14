"""What became of each axis: did it improve, did it only dip, or is it too early to say?

for verdict in judge({80: differences_at_80, 640: differences_at_640}):
    print(verdict.axis, verdict.label, verdict.accuracy, verdict.rule)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from titer.errors import InputError
from titer.records.results import Difference, Interval, Label, Measure, Verdict

_RULES: Final[Mapping[Label, str]] = {
    "improved": "the last checkpoint is above the base",
    "improving": "the last checkpoint is above the base, and its interval above the change at the checkpoint "
    "before: the axis still rises",
    "dipped then recovered": "an earlier checkpoint is below the base, the last one is not",
    "dipping": "the last checkpoint is below the base, completions that no longer end by themselves make up at "
    "least half of the fall, and no earlier checkpoint was above the base: train on before judging",
    "degraded": "the last checkpoint is below the base, and nothing marks that as a dip",
    "cannot tell": "no checkpoint is below the base and the last is not above it: its interval includes zero, or "
    "too few problems differ",
}


def judge(checkpoints: Mapping[int, Sequence[Difference]]) -> list[Verdict]:
    """One verdict per axis, from how each checkpoint differs from the base (step → what `compare` returned).

    The last checkpoint is judged; the earlier ones only tell a dip. "Above" and "below" the base are `compare`'s
    "better" and "worse": a paired 95 % interval that excludes zero. Changes are in accuracy (avg@k), pooled over
    the axis' suites, in the order of these rules, of which the first that fits is given:

    - dipped then recovered: some earlier checkpoint is below the base, the last one is not;
    - improving: the last is above the base, and its interval lies above the previous checkpoint's change;
    - improved: the last is above the base;
    - dipping: the last is below the base, fewer of its completions end by themselves, that share fell by at least
      half of what accuracy fell by, and no earlier checkpoint was above the base;
    - degraded: the last is below the base;
    - cannot tell: everything else.

    The rules are ours: arXiv 2604.06628 describes dip, recovery and the surge of unfinished completions that goes
    with the dip, and gives no definition. Each earlier checkpoint is one more test at 5 %, so a dip told from a
    single one of many is weak evidence. Raises InputError where the last checkpoint lacks an axis comparison.
    """
    last = max(checkpoints, default=None)
    axes = [d.axis for d in checkpoints[last] if _is_score(d)] if last is not None else []
    if last is None or not axes:
        raise InputError("there is no compared axis to judge", remedy="compare base and checkpoints on an axis")
    return [_verdict(axis, last, checkpoints) for axis in axes]


def _is_score(difference: Difference) -> bool:
    return difference.level == "axis" and difference.measure == "accuracy"


def _verdict(axis: str, last: int, checkpoints: Mapping[int, Sequence[Difference]]) -> Verdict:
    path = {step: d for step in sorted(checkpoints) for d in checkpoints[step] if _is_score(d) and d.axis == axis}
    ended = _measured(checkpoints[last], axis, "terminated")
    label = _label(list(path.values()), ended)
    return Verdict(
        axis=axis,
        label=label,
        rule=_RULES[label],
        step=last,
        problems=path[last].problems,
        accuracy=path[last].change,
        terminated=ended.change,
        tokens=_measured(checkpoints[last], axis, "tokens").change,
        path={step: difference.change for step, difference in path.items()},
    )


def _measured(differences: Sequence[Difference], axis: str, measure: Measure) -> Difference:
    return next(d for d in differences if d.level == "axis" and d.axis == axis and d.measure == measure)


def _label(path: Sequence[Difference], ended: Difference) -> Label:
    """The first rule of `judge` that fits. `path` is in the order of the checkpoints."""
    *earlier, last = path
    if last.better != "worse" and any(d.better == "worse" for d in earlier):
        return "dipped then recovered"
    if last.better == "better":
        return "improving" if earlier and _rose(earlier[-1].change, last.change) else "improved"
    if last.better == "worse":
        was_above = any(d.better == "better" for d in earlier)
        unfinished = ended.better == "worse" and ended.change.mid <= last.change.mid / 2
        return "dipping" if unfinished and not was_above else "degraded"
    return "cannot tell"


def _rose(before: Interval, now: Interval) -> bool:
    return now.low > before.mid
