"""The bridge inside a run: the student is opened, hard traces are bridged, tables are written.

bridged = bridge_traces("lab", traces, problems, recipe.bridge, Generate(), work=work, seed=0, said=print)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from titer.generate.protocol import Sampling
from titer.pipeline.routes.student import behind_server, opened
from titer.pipeline.sampling import Said
from titer.recipe import Bridge, Generate
from titer.records import Problem, Trace, write_records
from titer.stages.bridge import Bounds, Bridged, Settings, bridge
from titer.store import write_json, write_table

SAID = 5  # faults that are said


def bridge_traces(
    model: str,
    traces: Sequence[Trace],
    problems: Mapping[str, Problem],
    settings: Bridge,
    generate: Generate,
    *,
    work: Path,
    seed: int,
    said: Said,
) -> Bridged:
    """Bridge the traces for a student. Writes `bridged.jsonl`, every candidate in `candidates.jsonl` with what was
    found of it in `candidates.parquet`, `without.jsonl` and `faults.json` into `work`; resumes there."""
    sampling = Sampling(temperature=settings.temperature, top_p=1.0, max_tokens=settings.max_tokens, seed=seed)
    with opened(model, generate, sampling) as student:
        rewriter = behind_server(student.sampler, settings.server, settings.rewriter, settings.timeout)
        found = bridge(traces, problems, student, _settings(settings), work=work / "rollouts", rewriter=rewriter)
    for fault in found.faults[:SAID]:
        said(f"bridge: {fault}")
    if len(found.faults) > SAID:
        said(f"bridge: and {len(found.faults) - SAID} more; faults.json has all")
    tables = {"bridged": found.traces, "candidates": [one.trace for one in found.candidates], "without": found.without}
    for name, rows in tables.items():
        write_records(work / f"{name}.jsonl", rows)
    write_table(work / "candidates.parquet", [one.row for one in found.candidates])
    write_json(work / "faults.json", found.faults)
    return found


def _settings(settings: Bridge) -> Settings:
    return Settings(
        settings.kinds,
        settings.samples,
        settings.rewrites,
        Bounds(settings.shortest, settings.longest, settings.solves),
        settings.otherwise,
    )
