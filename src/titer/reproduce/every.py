"""All five findings in one table.

table = reproduce_all(seeds=5)     # or stored_all(): the finished tables that come with titer
table["claims"][0]                 # as those of one finding, with "finding" and "command"
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from titer.reproduce.bases import LAB
from titer.reproduce.engine import Said, folder_of, reproduce, spoken
from titer.reproduce.experiment import find
from titer.reproduce.tables import stored

FINDINGS: Final = {"A": "branching", "B": "recovery", "C": "repetition", "D": "stages", "E": "continuum"}


def reproduce_all(
    *,
    seeds: int = 5,
    jobs: int | None = None,
    out: str | Path = "runs",
    scale: str = LAB,
    said: Said = lambda _: None,
) -> dict[str, Any]:
    """Run what is missing of every reproduction in `out`/reproduce-NAME, one after the other, and return one table.

    At the lab's scale it says first how long it takes, by what the stored tables took on one core. Raises as
    `reproduce` does.
    """
    folders = {name: Path(out) / folder_of(name, None, scale).name for name in FINDINGS.values()}
    if scale == LAB:
        parallel = jobs or os.cpu_count() or 1
        expected = sum(_expected(name, folder, seeds) for name, folder in folders.items()) / parallel
        said(f"expected: {spoken(expected)}, {parallel} jobs at a time, as fast as the machine of the stored tables")
    return _joined(
        [
            reproduce(name, seeds=seeds, jobs=jobs, out=folder, scale=scale, said=said)
            for name, folder in folders.items()
        ],
        scale,
    )


def stored_all(scale: str = LAB) -> dict[str, Any]:
    """The stored tables as one."""
    return _joined([stored(name, scale) for name in FINDINGS.values()])


def _expected(name: str, folder: Path, seeds: int) -> float:
    """Seconds of one core that the jobs without a result took when the stored table was made."""
    arms: Mapping[str, Any] = stored(name)["arms"]
    per_arm = {arm: found["seconds"]["mean"][1] for arm, found in arms.items()}
    missing = [
        arm
        for arm in find(name).arms
        for seed in range(seeds)
        if not (folder / f"{arm}-seed-{seed}/result.json").exists()
    ]
    return float(sum(per_arm[arm] for arm in missing))


def _joined(tables: Sequence[Mapping[str, Any]], scale: str = LAB) -> dict[str, Any]:
    option = "" if scale == LAB else f" --scale {scale}"
    claims = [
        {"finding": letter, **claim, "command": f"titer reproduce {table['name']}{option}"}
        for letter, table in zip(FINDINGS, tables, strict=True)
        for claim in table["claims"]
    ]
    return {
        "name": "all",
        "claims": claims,
        "verdicts": {
            letter: dict(Counter(claim["verdict"] for claim in claims if claim["finding"] == letter))
            for letter in FINDINGS
        },
        "rule": tables[0]["rule"],
        "intervals": tables[0]["intervals"],
        "seconds": round(sum(table["seconds"] for table in tables), 1),
    }
