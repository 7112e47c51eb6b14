"""How often a verdict is wrong, and how often it is "cannot tell", on made runs whose true curves are known.

    python benchmarks/verdicts.py [--quick] [--runs 400] [--seed 0] [--json]

A made run has a true accuracy at every checkpoint of the grid 0, 10, 20, 40, … up to an end between 40 and 640 updates:
level, gaining, dipping and coming back (wholly, half, to above the base), falling for good, rising and then falling.
Depths are drawn from .05 to .3, gains to .2. Its 100 to 500 problems have rates of their own around it, which drift
apart from the base's, and 4 samples of each are drawn at every checkpoint. A verdict is wrong where what its label says
is not so of the true curve (`holds`); "cannot tell" is never wrong, and counted.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from titer.dynamics import AxisCurves, curve_of_rates, judge, read_axis
from titer.dynamics.axis import MADE_GOOD, PATIENCE, STILL
from titer.records.results import Label
from titer.train.length.schedule import log_grid

Floats = NDArray[np.float64]
SHAPES = ("level", "gain", "dip and back", "dip and above", "half-way back", "fall", "rise and fall")
PROBLEMS, SAMPLES = (100, 200, 500), 4
QUADRATURE = 2000  # problems over which a shift is fitted to a mean


class Made(NamedTuple):
    """A run: its checkpoints, its true accuracies there, and what was counted of each problem."""

    steps: list[int]
    true_T: Floats
    rates_PT: Floats


def true_curve(shape: str, steps: list[int], rng: np.random.Generator) -> Floats:
    """Accuracies [T] of a shape: a base, and how far each checkpoint is from it."""
    base, depth, gain = rng.uniform(0.3, 0.75), rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.2)
    step_T = np.asarray(steps, dtype=float)
    log_T = np.log2(np.maximum(step_T, 1))
    trough = rng.uniform(np.log2(10), np.log2(40))
    fallen_T = np.where(step_T > 0, np.clip(log_T / trough, 0, 1), 0)  # straight down until the trough
    back_T = np.clip((log_T - trough) / 3, 0, 1)  # and back within eight times its updates
    rising_T = 1 - np.exp(-step_T / 80)
    change = {
        "level": 0 * log_T,
        "gain": gain * rising_T,
        "dip and back": depth * (back_T - fallen_T),
        "dip and above": depth * (back_T - fallen_T) + gain * back_T,
        "half-way back": depth * (0.6 * back_T - fallen_T),
        "fall": -depth * fallen_T,
        "rise and fall": gain * np.clip(step_T / 80, 0, 1) - (gain + depth) * np.clip((log_T - np.log2(80)) / 3, 0, 1),
    }[shape]
    return np.clip(base + change, 0.02, 0.98)


def make(shape: str, rng: np.random.Generator, steps: list[int] | None = None) -> Made:
    """A run of a shape, of random size and, where no steps are given, length."""
    steps = steps or log_grid(int(rng.choice([40, 80, 160, 320, 640])))
    true_T = true_curve(shape, steps, rng)
    problems, spread, drift = int(rng.choice(PROBLEMS)), rng.uniform(0.8, 2.5), rng.uniform(0.2, 1.0)
    easy_Q = spread * rng.normal(size=QUADRATURE)
    drawn_P = spread * rng.normal(size=problems)
    drift_P = drift * rng.normal(size=problems)
    rates_PT = np.empty((problems, len(steps)))
    for place, mean in enumerate(true_T):
        # problems drift apart from the base's ease as training goes on, and differ from one checkpoint to the next
        far = place / max(1, len(steps) - 1)
        wide = np.sqrt((far * drift) ** 2 + (0.2 * (place > 0)) ** 2)
        about_Q = easy_Q + wide * rng.normal(size=QUADRATURE)
        shift = brentq(lambda s, about=about_Q, aim=mean: expit(about + s).mean() - aim, -20, 20)
        own_P = drawn_P + far * drift_P + 0.2 * (place > 0) * rng.normal(size=problems)
        rates_PT[:, place] = rng.binomial(SAMPLES, expit(own_P + shift)) / SAMPLES
    return Made(steps, true_T, rates_PT)


def holds(label: Label, steps: list[int], true_T: Floats) -> bool:
    """Whether what a label says is so of the true curve."""
    change_T = true_T - true_T[0]
    last, earlier_T = change_T[-1], change_T[1:-1]
    lowest = min(0.0, float(earlier_T.min(initial=0.0)))
    best = float(earlier_T.max(initial=-1.0))
    below = [step for step, change in zip(steps, change_T, strict=True) if step and change < 0]
    if label == "improving":
        return bool(last > 0)
    if label == "settled":
        return bool(last > -STILL and abs(last - change_T[-2]) < STILL)
    if label == "recovered":
        return bool(lowest < 0 and last >= (1 - MADE_GOOD) * lowest)
    if label == "dipping":
        return bool(last < 0 and (is_climbing(change_T) or steps[-1] < PATIENCE * below[0]))
    if label == "degraded":
        stayed = bool(below) and steps[-1] >= PATIENCE * below[0] and last < (1 - MADE_GOOD) * min(lowest, last)
        return bool(last < best or (last < 0 and stayed))
    return True


def is_climbing(change_T: Floats) -> bool:
    """Whether a true curve is above its lowest, and still rises at its end."""
    return bool(change_T[-1] > change_T.min() and change_T[-1] > change_T[max(0, len(change_T) - 3)])


def false_calls(runs: int, seed: int) -> Counter[str]:
    """What runs are called in which in-domain gains and three other axes are level."""
    rng, calls = np.random.default_rng([seed, 100]), Counter[str]()
    for _ in range(runs):
        steps = log_grid(int(rng.choice([40, 80, 160, 320, 640])))
        made = [make(shape, rng, steps) for shape in ("gain", "level", "level", "level")]
        curves = [curve_of_rates(one.steps, one.rates_PT) for one in made]
        axes = ("in_domain", "out_of_domain", "general", "safety")
        calls[judge({axis: AxisCurves(curve) for axis, curve in zip(axes, curves, strict=True)}).call] += 1
    return calls


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400, help="made runs of each shape")
    parser.add_argument("--quick", action="store_true", help="60 of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    runs = 60 if given.quick else given.runs
    labels: dict[str, Counter[str]] = {}
    wrong: Counter[str] = Counter()
    for shape in SHAPES:
        rng = np.random.default_rng([given.seed, SHAPES.index(shape)])
        for _ in range(runs):
            made = make(shape, rng)
            label = read_axis(curve_of_rates(made.steps, made.rates_PT)).label
            labels.setdefault(shape, Counter())[label] += 1
            wrong[shape] += not holds(label, made.steps, made.true_T)
    total = runs * len(SHAPES)
    cannot = sum(counts["cannot tell"] for counts in labels.values())
    if given.json:
        print(json.dumps({"wrong": sum(wrong.values()) / total, "cannot_tell": cannot / total, "runs": total}))
        return
    for shape, counts in labels.items():
        shown = ", ".join(f"{label} {count / runs:.0%}" for label, count in counts.most_common())
        print(f"{shape:>15}: wrong {wrong[shape] / runs:5.1%}   {shown}")
    calls = false_calls(runs, given.seed)
    shown = ", ".join(f"{call} {count / runs:.1%}" for call, count in calls.most_common())
    print(f"in-domain gains, three axes level: {shown}")
    print(f"{'all':>15}: wrong {sum(wrong.values()) / total:5.1%}   cannot tell {cannot / total:.1%} of {total} runs")


if __name__ == "__main__":
    main()
