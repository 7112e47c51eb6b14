"""Tokens that a checkpoint's evaluation needs for one standard error: paired and variance first, against everything.

    python benchmarks/evaluation_cost.py [--updates 20] [--samples 4] [--json]
    python benchmarks/evaluation_cost.py --base before --checkpoint after     # two outs of `titer eval`

The lab's base and a checkpoint of it are asked every problem of eight suites, `samples` times each, with the same
seeds. From these rollouts: the standard error of each axis' change when the two are taken as independent, as scores
with error bars are; when they are paired; and when the checkpoint is asked only what a budget allows, the mean over
draws of the parts. Tokens are the checkpoint's: the base is asked once, whatever there is to come.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from titer import verbs
from titer.dynamics import AxisCurves
from titer.evaluate.allocate import allocate
from titer.lab.make import make_lab
from titer.pipeline.data import Suite
from titer.pipeline.evaluation.judging import axis_curves, halves_of
from titer.recipe import Evaluate, LabData, Train
from titer.records import Rollout, read_rollouts, write_records

SUITES = {
    "countdown3": 100, "countdown4": 60, "ordered": 60, "subset": 60,
    "sort": 40, "reverse": 40, "compare": 40, "guarded": 100,
}  # fmt: skip
DRAWS = 30
NEARLY = 1.05
GUARDED = make_lab(LabData(problems={}, suites={"guarded": SUITES["guarded"]}), 0).suites["guarded"]
HALVES = halves_of([Suite("guarded", GUARDED.axis, GUARDED.problems)])
SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def sampled(work: Path, updates: int, samples: int) -> tuple[Path, Path]:
    """The `out`s of evaluating the lab's base and a checkpoint of it."""
    made = make_lab(LabData(problems={"countdown3": 400, "countdown4": 200}, suites=SUITES), 0)
    write_records(work / "traces.jsonl", made.traces)
    files = {name: work / "suites" / f"{name}.jsonl" for name in made.suites}
    for name, file in files.items():
        write_records(file, made.suites[name].problems)
    how = Train(objective="nll", updates=updates, batch_size=16, learning_rate=3e-4, micro_tokens=2048, probe_samples=0)
    trained = verbs.sft("lab", work / "traces.jsonl", out=work / "sft", settings=how)
    sampling = Evaluate(samples=samples, max_tokens=192)
    for name, model in (("before", "lab"), ("after", trained.checkpoint)):
        verbs.eval(model, files, out=work / name, settings=sampling)
    return work / "before", work / "after"


def rollouts_of(folder: Path) -> list[Rollout]:
    """All suites' rollouts, with the lab's axes."""
    from titer.lab.tasks import TASKS

    rows = [row for file in sorted(folder.glob("*.rollouts.jsonl")) for row in read_rollouts(file)]
    return [replace(row, axis=TASKS[row.suite].axis if row.suite in TASKS else row.axis or "all") for row in rows]


def error(curves: AxisCurves, *, paired: bool) -> float:
    """Standard error of the middle checkpoint's change from the base."""
    cov = curves.accuracy.cov_TT
    return float(np.sqrt(max(0.0, cov[1, 1] + cov[0, 0] - (2 * cov[1, 0] if paired else 0))))


def at_budget(base: Sequence[Rollout], after: Sequence[Rollout], tokens: int, samples: int) -> dict[str, float]:
    """By axis, the error at a budget (mean of the variances over draws), and the tokens spent, under ""."""
    by_name: dict[tuple[str, str], list[Rollout]] = {}
    for row in after:
        by_name.setdefault((row.suite, row.problem_id), []).append(row)
    found: dict[str, list[float]] = {}
    spent = []
    for draw in range(DRAWS):
        most = {row.suite: samples for row in base}
        parts = allocate(base, tokens=tokens, samples=most, halves=HALVES, seed=draw)
        asked = [row for part in parts for name in part.problems for row in by_name[part.suite, name][: part.samples]]
        spent.append(sum(row.tokens for row in asked))
        # the last column only has to be whole: it is the base again, and nothing is read off it
        for axis, curves in axis_curves({0: base, 1: asked, 2: base}, HALVES, parts).items():
            found.setdefault(axis, []).append(error(curves, paired=True) ** 2)
    return {"": float(np.mean(spent)), **{axis: float(np.sqrt(np.mean(values))) for axis, values in found.items()}}


def share_for(budgets: dict[float, dict[str, float]], axis: str, wanted: float) -> float:
    """The smallest share of the tokens whose error is as wanted; all where none is."""
    return min((share for share, at in budgets.items() if at[axis] <= wanted), default=1.0)


def main() -> None:
    """Print errors and the shares of tokens, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outs = (given.base, given.checkpoint) if given.base else sampled(Path(folder), given.updates, given.samples)
        base, after = (rollouts_of(out) for out in outs)
    everything = sum(row.tokens for row in after)
    whole = axis_curves({0: base, 1: after, 2: base}, HALVES)
    alone = {axis: error(curves, paired=False) for axis, curves in whole.items()}
    paired = {axis: error(curves, paired=True) for axis, curves in whole.items()}
    # the shares of tokens that are spent, with each axis' error
    budgets: dict[float, dict[str, float]] = {}
    for share in SHARES:
        at = at_budget(base, after, int(share * everything), given.samples)
        budgets[at.pop("") / everything] = at
    needed = {axis: share_for(budgets, axis, wanted) for axis, wanted in alone.items()}
    nearly = {axis: share_for(budgets, axis, NEARLY * wanted) for axis, wanted in paired.items()}
    if given.json:
        shares = {"share_for_independent": needed, "share_for_nearly_paired": nearly}
        print(json.dumps({"independent": alone, "paired": paired, **shares}))
        return
    print(f"{everything:,} tokens for everything; standard errors of the change, points")
    for axis, independent in alone.items():
        row = ", ".join(f"{share:.0%}: {100 * at[axis]:.2f}" for share, at in budgets.items())
        print(f"{axis:>15}: independent {100 * independent:.2f}, paired {100 * paired[axis]:.2f}; at a budget of {row}")
        print(f"{'':>15}  the error of independent scores at {needed[axis]:.0%} of the tokens,")
        print(f"{'':>15}  at most a twentieth more than paired with everything at {nearly[axis]:.0%}")


if __name__ == "__main__":
    main()
