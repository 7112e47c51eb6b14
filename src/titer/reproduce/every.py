"""All five findings in one table.

table = reproduce_all(seeds=5)     # or stored_all(): the finished tables that come with titer
table["claims"][0]                 # as those of one finding, with "finding", "command" and whether it is a "main" one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from titer.reproduce.bases import LAB
from titer.reproduce.engine import (
    AS_STORED,
    Said,
    default_jobs,
    expected,
    folder_of,
    refuse_below_one,
    reproduce,
    rough_duration,
)
from titer.reproduce.experiment import FINDINGS
from titer.reproduce.tables import stored

# What each paper is known for, tried as it did: sound traces, equal updates, answers sampled, one of each counted
# (pass@1). Chosen by what the papers say first, not by what the lab found.
MAIN: Final = (
    "divergent traces end at a lower training loss",
    "divergent traces generalize worse in domain, at equal updates",
    "the least branching 90% of the divergent traces teach more than all, in domain",
    "in-domain gains by the last update",
    "out-of-domain is below the base at updates 10 to 40",
    "out-of-domain passes the base",
    "safety is below the base at the last update",
    "short traces, equal updates: 8 epochs of 128 above 1 of 1,024, sampled",
    "long traces, equal updates: 8 epochs of 128 above 1 of 1,024, sampled",
    "the whole method, against SFT alone: pass@1 above",
    "the whole method, against RL alone: pass@1 above",
    "strong student, 0 % wrong numbers: −p above −log p, sampled",
    "weak student, 0 % wrong numbers: −p below −log p, sampled",
)


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
    parallel = default_jobs(scale) if jobs is None else jobs
    refuse_below_one(seeds, parallel)
    folders = {name: Path(out) / folder_of(name, None, scale).name for name in FINDINGS.values()}
    if scale == LAB:
        whole = sum(expected(name, folder, seeds) for name, folder in folders.items()) / parallel
        said(f"all five, {AS_STORED.format(rough_duration(whole), parallel)}")
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


def _joined(tables: Sequence[Mapping[str, Any]], scale: str = LAB) -> dict[str, Any]:
    option = "" if scale == LAB else f" --scale {scale}"
    claims = [
        {
            "finding": letter,
            **claim,
            "main": claim["claim"] in MAIN,
            "command": f"titer reproduce {table['name']}{option}",
        }
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
