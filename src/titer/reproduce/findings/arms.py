"""What the arms of every reproduction do: fine-tune on some traces, and evaluate on some problems.

trained = fine_tune("lab", traces, Train(updates=100), seed=0, folder=folder)
(suite,) = evaluate(trained.checkpoint, {"countdown3": problems}, Evaluate(), seed=0, folder=folder / "sampled")
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.recipe import Evaluate, Train
from titer.records import Problem, Trace, write_records
from titer.records.results import SuiteSummary


class Trained(NamedTuple):
    """The last checkpoint, its token accuracy on the fixed subset (None: not measured) and the rows of its log."""

    checkpoint: str
    token_accuracy: float | None
    log: list[dict[str, Any]]


def fine_tune(model: str, traces: Sequence[Trace], settings: Train, *, seed: int, folder: Path) -> Trained:
    """Train on the traces in `folder`, where traces.jsonl and sft/ stay; goes on there after a crash."""
    from titer import verbs

    write_records(folder / "traces.jsonl", traces)
    result = verbs.sft(model, folder / "traces.jsonl", out=folder / "sft", settings=settings, seed=seed)
    rows = (folder / "sft" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return Trained(result.checkpoint, result.token_accuracy, [json.loads(row) for row in rows])


def evaluate(
    model: str, suites: Mapping[str, Sequence[Problem]], settings: Evaluate, *, seed: int, folder: Path
) -> list[SuiteSummary]:
    """Sample and grade the suites in `folder`, where problems and rollouts stay."""
    from titer import verbs

    files = {name: folder / "suites" / f"{name}.jsonl" for name in suites}
    for name, file in files.items():
        write_records(file, suites[name])
    return verbs.eval(model, files, out=folder / "eval", settings=settings, seed=seed).suites
