"""The table a reproduction ends with, and the finished tables that come with titer.

table = stored("branching")
table["claims"][0]     # {"claim", "paper", "lab", "interval", "seeds", "verdict"}

`interval` is [low, mid, high] of the difference in the claim's own unit: accuracies from 0 to 1, losses in nats.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records.results import Interval
from titer.reproduce.bases import LAB
from titer.reproduce.experiment import Claim, Experiment, Map, Measures, check_name, find
from titer.reproduce.verdict import INTERVAL, RULE, interval, verdict

TABLES = Path(__file__).parent / "tables"


class JobResult(NamedTuple):
    """What one job left: its measures, the seconds its last process took, the versions it ran with."""

    arm: str
    seed: int
    measures: Measures
    seconds: float
    versions: dict[str, str]


def stored(name: str, scale: str = LAB) -> dict[str, Any]:
    """The table of `name` that comes with titer. Raises InputError when there is none, and for an unknown scale.

    At the lab's own scale nothing of torch is imported.
    """
    check_name(name)
    if scale != LAB:  # none is stored: no GPU was at hand
        find(name).at(scale)  # refuses one that there is not
        fault = f"no table of {name} at the scale {scale} comes with titer"
        raise InputError(fault, remedy=f"run: titer reproduce {name} --scale {scale}")
    if not has_table(name):
        raise InputError(f"{name} has not yet been run", remedy=f"run: titer reproduce {name}")
    return dict(json.loads(_file(name).read_text(encoding="utf-8")))


def has_table(name: str) -> bool:
    """Whether a table of `name`, at the lab's scale, comes with titer."""
    return _file(name).exists()


def _file(name: str) -> Path:
    return TABLES / f"{name}.json"


def make_table(
    experiment: Experiment, results: Sequence[JobResult], shared: Sequence[JobResult] = ()
) -> dict[str, Any]:
    """Claims with their verdicts, maps, then every arm's measures: means with intervals, and the seeds' own values.

    `shared` is how what the arms share was made.
    """
    by_arm = {arm: [result for result in results if result.arm == arm] for arm in experiment.arms}
    made = {result.arm: {**result.measures, "seconds": result.seconds} for result in shared}
    return {
        "name": experiment.name,
        "claims": [_claim_row(claim, by_arm) for claim in experiment.claims],
        "rule": RULE,
        "intervals": INTERVAL,
        **({"maps": [_map_row(one, by_arm) for one in experiment.maps]} if experiment.maps else {}),
        **({"shared": made} if made else {}),
        "arms": {arm: _arm_row(found) for arm, found in by_arm.items()},
        "settings": dict(experiment.settings),
        "versions": _versions([*shared, *results]),
        "seconds": round(sum(result.seconds for result in (*shared, *results)), 1),
    }


def _claim_row(claim: Claim, by_arm: Mapping[str, Sequence[JobResult]]) -> dict[str, Any]:
    contrast = dict(claim.contrast)
    for arm in _best(claim, by_arm):
        contrast[arm] = contrast.get(arm, 0.0) - 1.0
    values = {arm: [result.measures[claim.measure] for result in by_arm[arm]] for arm in contrast}
    weights = contrast.values()
    differences = [sum(w * v for w, v in zip(weights, row, strict=True)) for row in zip(*values.values(), strict=True)]
    change = interval(differences)
    means = ", ".join(f"{arm} {sum(found) / len(found):.3f}" for arm, found in values.items())
    return {
        "claim": claim.claim,
        "paper": claim.paper,
        "lab": f"{claim.measure.replace('_', ' ')}: {means}; difference {change.mid:+.3f}",
        "interval": _triple(change),
        "seeds": len(differences),
        "verdict": verdict(change, claim.direction),
    }


def _map_row(one: Map, by_arm: Mapping[str, Sequence[JobResult]]) -> dict[str, Any]:
    means = [[statistics.fmean(r.measures[one.measure] for r in by_arm[arm]) for arm in row] for row in one.arms]
    rounded = [[round(mean, 6) for mean in row] for row in means]
    return {
        "title": one.title,
        "measure": one.measure,
        "row": one.row,
        "column": one.column,
        "rows": list(one.rows),
        "columns": list(one.columns),
        "means": rounded,
    }


def _best(claim: Claim, by_arm: Mapping[str, Sequence[JobResult]]) -> list[str]:
    """The arm of `best_of` with the highest mean, the first of equal ones; nothing where it is empty."""
    means = {arm: statistics.fmean(result.measures[claim.measure] for result in by_arm[arm]) for arm in claim.best_of}
    return [max(means, key=lambda arm: means[arm])] if means else []


def _arm_row(results: Sequence[JobResult]) -> dict[str, Any]:
    measured = {name: [result.measures[name] for result in results] for name in results[0].measures}
    measured["seconds"] = [result.seconds for result in results]
    return {
        name: {"mean": _triple(interval(values)), "values": [_known(value) for value in values]}
        for name, values in measured.items()
    }


def _triple(found: Interval) -> list[float | None]:
    return [_known(end) for end in found]


def _known(value: float) -> float | None:
    """Six digits, which JSON can hold; None for what is unknown."""
    return None if math.isnan(value) else round(value, 6)


def _versions(results: Sequence[JobResult]) -> dict[str, str]:
    """Versions by package; several where jobs of one table ran with several."""
    names = dict.fromkeys(name for result in results for name in result.versions)
    return {name: ", ".join(sorted({result.versions.get(name, "none") for result in results})) for name in names}
