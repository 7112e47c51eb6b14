"""Hard traces made learnable for a model.

result = bridge("lab", "traces.jsonl", "problems.jsonl", out="bridged")
result.kinds["scaffold"]      # {"candidates": 49, "accepted": 0.41, "nll": 0.25, "raw_nll": 4.9}
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.pipeline.alone import alone
from titer.pipeline.routes.bridging import bridge_traces
from titer.recipe import Bridge, Generate
from titer.records.reading import OnBad
from titer.stages.bridge import acceptance
from titer.verbs.reading import checked_problems, checked_traces


class BridgeResult(NamedTuple):
    """How many traces there are to learn from, how many of them were bridged and how many traces were left without a
    candidate, what was accepted by kind, what went wrong, dropped rows."""

    traces: int
    bridged: int
    without: int
    kinds: dict[str, dict[str, float]]
    faults: list[str]
    dropped: list[str]


@alone
def bridge(
    model: str,
    traces: str | Path,
    problems: str | Path,
    *,
    out: str | Path,
    settings: Bridge | None = None,
    generate: Generate | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
    said: Callable[[str], None] = lambda _: None,
) -> BridgeResult:
    """Make the traces of a file learnable for `model`, and write `bridged.jsonl` and all candidates into `out`;
    resumes there.

    Raises InputError for bad rows, for a trace whose problem is not in the file, and for a model that cannot be loaded.
    """
    dropped: list[InputError] = []
    known = {problem.id: problem for problem in checked_problems(problems, on_bad, dropped)}
    rows = checked_traces(traces, known, on_bad, dropped)
    if not rows:
        raise InputError("no trace is left", file=traces, remedy="give a file with usable traces")
    Path(out).mkdir(parents=True, exist_ok=True)
    found = bridge_traces(
        model, rows, known, settings or Bridge(), generate or Generate(), work=Path(out), seed=seed, said=said
    )
    bridged = len({one.raw.id for one in found.candidates if not one.fault})  # a trace's meta is its file's to fill
    kinds = acceptance(found.candidates)
    return BridgeResult(
        len(found.traces), bridged, len(found.without), kinds, found.faults, [str(error) for error in dropped]
    )
