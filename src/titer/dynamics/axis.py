"""What became of one axis: its accuracy over the checkpoints, read by stated rules.

    reading = read_axis(curve)
    reading.label, reading.rule        # "recovered", "an earlier checkpoint is below the base, and …"

No published definition of dip and recovery exists (arXiv 2604.06628 shows curves and describes them), so the rules are
ours. Each label says something of the true curve, and is given only where intervals exclude the contrary; what is left
is "cannot tell". A third of the 5 % goes to the last checkpoint against the base, a third to all earlier ones against
it, a third to the last against earlier ones.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from titer.dynamics.curve import ALPHA, Curve
from titer.records.results import Interval, Label

PATIENCE: Final = 8
"""Updates after which a fall is no dip any more, in multiples of the first checkpoint below the base: in arXiv
2604.06628 curves that are below the base by update 20 are back at 160."""
FELL_BY: Final = 20
"""Update by which a fall is taken to have begun that the first evaluated checkpoint shows already."""
MADE_GOOD: Final = 0.5
"""Share of a fall that must be made good before it counts as recovered."""
STILL: Final = 0.03
"""Change in accuracy that is none."""

RULES: Final = {
    "alone": "there is but one problem, so nothing is known of others",
    "above then below": "was above the base, and is below it",
    "climbing": "below the base, and still climbing",
    "just below": "below the base, for no longer than published dips lasted",
    "stayed below": "below the base for longer than published dips lasted, less than half of the fall made good",
    "below, climb unknown": "below the base for longer than published dips lasted; whether it climbs cannot be told",
    "fell from its best": "below its own best checkpoint",
    "made good": "fell below the base, and at least half of the fall is made good",
    "above and still": "above the base, and within .03 of the checkpoint before",
    "above": "above the base",
    "level and still": "within .03 of the base and of the checkpoint before",
    "nothing shown": "the intervals leave it open",
}


class Reading(NamedTuple):
    """The label, the rule that gave it, the place of the lowest checkpoint below the base (None: no dip), whether an
    earlier checkpoint was better than the last, and the update by which it had fallen (None: it is not below)."""

    label: Label
    rule: str
    trough: int | None = None
    peaked: bool = False
    fell: int | None = None


class _Level(NamedTuple):
    """What each of the three kinds of difference may err by, where `axes` axes are read at once (Bonferroni)."""

    axes: int

    @property
    def alpha(self) -> float:
        """Of all differences of one kind together."""
        return ALPHA / 3 / self.axes


def read_axis(curve: Curve, *, axes: int = 1) -> Reading:
    """The first rule that fits, in the order of `RULES`. With `axes` the 5 % are those of so many axes together."""
    if curve.freedom < 1:
        return _reading("cannot tell", "alone")
    level = _Level(axes)
    last = change_at_last(curve, axes=axes)
    below = _clear(curve, level, sign=-1)
    trough = min(below, key=lambda place: curve.mean_T[place], default=None)
    if last.high < 0:
        return _read_below(curve, level, trough, [*below, curve.last][0])
    if (best := _best(curve)) is not None and _last_less(curve, level, best).high < 0:
        return _reading("degraded", "fell from its best", trough)
    return _read_level(curve, last) if trough is None else _read_dipped(curve, level, last, trough)


def change_at_last(curve: Curve, *, axes: int = 1) -> Interval:
    """The last checkpoint against the base, at the share of the 5 % that its label goes by."""
    # with but one checkpoint there is but one difference
    return curve.change(curve.last, alpha=_Level(axes).alpha if curve.last > 1 else ALPHA / axes)


def _read_dipped(curve: Curve, level: _Level, last: Interval, trough: int) -> Reading:
    """The last checkpoint is not below the base, an earlier one was: is the fall made good?"""
    depth = -float(curve.mean_T[trough] - curve.mean_T[0])
    back = _last_less(curve, level, trough).low > 0 and last.low > -(1 - MADE_GOOD) * depth
    return _reading("recovered", "made good", trough) if back else _reading("cannot tell", "nothing shown", trough)


def _read_level(curve: Curve, last: Interval) -> Reading:
    """No checkpoint is below the base."""
    still = curve.last > 1 and _is_still(curve, curve.last - 1)
    if last.low > 0:
        return _reading("settled", "above and still") if still else _reading("improving", "above")
    if still and _is_still(curve, 0):
        return _reading("settled", "level and still")
    return _reading("cannot tell", "nothing shown")


def _read_below(curve: Curve, level: _Level, trough: int | None, first: int) -> Reading:
    """The last checkpoint is below the base: is that a dip, or the end of it?"""
    lowest = min([*([] if trough is None else [trough]), curve.last], key=lambda place: curve.mean_T[place])
    # nothing was evaluated before the first checkpoint: a fall that it shows may be old
    fell = min(curve.steps[1], FELL_BY) if first == 1 else curve.steps[first]
    if _clear(curve, level, sign=1):
        return _reading("degraded", "above then below", lowest, fell)
    if trough is not None and _climbs(curve, level, trough):
        return _reading("dipping", "climbing", lowest, fell)
    if curve.steps[-1] < PATIENCE * fell:
        return _reading("dipping", "just below", lowest, fell)
    depth = -float(curve.mean_T[lowest] - curve.mean_T[0])
    risen = max((_last_less(curve, level, place).high for place in range(first, curve.last)), default=0.0)
    if risen < MADE_GOOD * depth:
        return _reading("degraded", "stayed below", lowest, fell)
    return _reading("cannot tell", "below, climb unknown", lowest, fell)


def _climbs(curve: Curve, level: _Level, trough: int) -> bool:
    """Whether the last checkpoint is above the lowest, and above that two places before: what rose once and then stood
    still is not climbing."""
    before = max(trough, curve.last - 2)
    return _last_less(curve, level, trough).low > 0 and _last_less(curve, level, before).low > 0


def _clear(curve: Curve, level: _Level, *, sign: int) -> list[int]:
    """The earlier checkpoints that are above (1) or below (-1) the base, all of them together at a third of 5 %."""
    earlier = range(1, curve.last)
    changes = [curve.change(place, tests=len(earlier), alpha=level.alpha) for place in earlier]
    return [
        place for place, change in zip(earlier, changes, strict=True) if change.excludes_zero and sign * change.mid > 0
    ]


def _last_less(curve: Curve, level: _Level, place: int) -> Interval:
    """The last checkpoint less an earlier one that was picked among all."""
    return curve.change(curve.last, place, tests=max(1, curve.last - 1), alpha=level.alpha)


def _best(curve: Curve) -> int | None:
    return int(np.argmax(curve.mean_T[1 : curve.last])) + 1 if curve.last > 1 else None


def _is_still(curve: Curve, place: int) -> bool:
    low, _, high = curve.change(curve.last, place)
    return low > -STILL and high < STILL


def _reading(label: Label, rule: str, trough: int | None = None, fell: int | None = None) -> Reading:
    return Reading(label, RULES[rule], trough, rule in ("above then below", "fell from its best"), fell)
