"""Rollouts that sequential sampling needs to tell difficulty bands, against 16 of every problem.

    python benchmarks/bands.py [--quick] [--pools 6] [--seed 0] [--json]

Simulated solve rates of four spreads, and the lab model's own on its problems (left out with --quick): there 256
rollouts of each problem say what is true, and both ways draw from them in random orders. Sixteen of each are put into
bands by their rate, as everybody does. Both ways are judged by the share of problems put into the right band.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.generate.protocol import Sampling
from titer.lab.tasks import items
from titer.measure import Rule
from titer.measure.bands import BANDS, Count, Edges, Spread, band_chances, fit_spread
from titer.measure.stopping import worth_going_on
from titer.pipeline.sampling import make_generator
from titer.recipe import Generate
from titer.rollouts import collect
from titer.verify import Grader

FIXED, TRUTH, ORDERS = 16, 256, 6
PROBLEMS = 500  # of a simulated pool
SPREADS = {
    "even": Spread(1, 1),
    "at both ends": Spread(0.5, 0.5),
    "mostly hard": Spread(0.4, 1.2),
    "in the middle": Spread(2, 2),
}
LAB = {"countdown3": 120, "countdown4": 80}


class Found(NamedTuple):
    """Rollouts of a problem, and shares of right bands: ours, by 16 each, by the posterior of 16 each."""

    rollouts: float
    ours: float
    fixed: float
    fixed_posterior: float


def bands_of(rho: NDArray[np.float64], edges: Edges) -> NDArray[np.int_]:
    """0 hard, 1 medium, 2 simple."""
    return np.digitize(rho, edges)


def sequential(draws: NDArray[np.bool_], rule: Rule) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """How many draws each problem (row) gets, in order, and the band that is told: as `still_in_doubt` goes on."""
    right = np.concatenate([np.zeros((len(draws), 1), int), draws[:, : rule.most].cumsum(axis=1)], axis=1)
    rows, n = np.arange(len(draws)), np.full(len(draws), rule.first)
    while True:
        spread = fit_spread([Count(int(right[i, n[i]]), int(n[i]), int(n[i])) for i in rows])
        go_on = worth_going_on(spread, rule)[n, right[rows, n]] & (n < rule.most)
        if not go_on.any():
            return n, band_chances(right[rows, n], n, rule.edges, spread).argmax(axis=-1)
        n = np.minimum(n + rule.step * go_on, rule.most)


def held(draws: NDArray[np.bool_], truth: NDArray[np.int_], rule: Rule) -> Found:
    """Both ways on the same draws."""
    n, told = sequential(draws, rule)
    right = draws[:, :FIXED].sum(axis=1)
    sixteen = np.full(len(draws), FIXED)
    spread = fit_spread([Count(int(c), FIXED, FIXED) for c in right])
    posterior = band_chances(right, sixteen, rule.edges, spread).argmax(axis=-1)
    return Found(
        float(n.mean()),
        float((told == truth).mean()),
        float((bands_of(right / FIXED, rule.edges) == truth).mean()),
        float((posterior == truth).mean()),
    )


def simulated(pools: int, rule: Rule, seed: int) -> dict[str, Found]:
    """Every spread: the mean over pools of PROBLEMS problems each."""
    rng, found = np.random.default_rng(seed), {}
    for name, spread in SPREADS.items():
        rates = rng.beta(spread.a, spread.b, size=(pools, PROBLEMS))
        each = [
            held(rng.random((PROBLEMS, rule.most)) < rho[:, None], bands_of(rho, rule.edges), rule) for rho in rates
        ]
        found[name] = mean_of(each)
    return found


def in_the_lab(rule: Rule, seed: int) -> Found:
    """The lab model on its own problems, over ORDERS random orders of 256 rollouts of each."""
    problems = [item.problem for task, n in LAB.items() for item in items(task, n, seed=seed, held=True)]
    with tempfile.TemporaryDirectory() as folder, Grader() as grader:
        rollouts = collect(
            make_generator("lab", Generate(), name="lab"),
            problems,
            samples=TRUTH,
            sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=64, seed=seed),
            grader=grader,
            out=Path(folder) / "rollouts.jsonl",
            model="lab",
        )
    drawn = np.array([rollout.score == 1.0 for rollout in rollouts]).reshape(len(problems), TRUTH)
    truth = bands_of(drawn.mean(axis=1), rule.edges)
    rng = np.random.default_rng([seed, 1])
    return mean_of([held(rng.permuted(drawn, axis=1), truth, rule) for _ in range(ORDERS)])


def mean_of(found: Sequence[Found]) -> Found:
    """The mean of each figure."""
    return Found(*np.mean(found, axis=0).tolist())


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="simulated solve rates only")
    parser.add_argument("--pools", type=int, default=6, help=f"pools of {PROBLEMS} problems of each spread")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rule = Rule()
    found = simulated(asked.pools, rule, asked.seed)
    if not asked.quick:
        found["the lab model's"] = in_the_lab(rule, asked.seed)
    mean = mean_of(list(found.values()))
    if asked.json:
        print(
            json.dumps(
                {
                    "rollouts_over_fixed16": round(mean.rollouts / FIXED, 3),
                    "band_accuracy": round(mean.ours, 3),
                    "band_accuracy_fixed16": round(mean.fixed, 3),
                }
            )
        )
        return
    print(f"bands {', '.join(BANDS)}; {rule}")
    for name, one in {**found, "mean": mean}.items():
        print(
            f"{name:>16}: {one.rollouts:5.2f} rollouts a problem, {one.rollouts / FIXED:.2f} of 16; right band "
            f"{one.ours:.3f}, by 16 each {one.fixed:.3f} (by their posterior {one.fixed_posterior:.3f})"
        )


if __name__ == "__main__":
    main()
