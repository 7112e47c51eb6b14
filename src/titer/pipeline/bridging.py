"""The bridge inside a run: the student is opened, hard traces are bridged, tables are written.

bridged = bridge_traces("lab", traces, problems, recipe.bridge, Generate(), work=work, seed=0, said=print)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from titer.generate.protocol import Sampling
from titer.models import load_model
from titer.pipeline.sampling import Said, generator_of
from titer.recipe import Bridge, Generate
from titer.records import Problem, Trace, write_records
from titer.rollouts import Sampler, model_identity
from titer.stages.bridge import Bounds, Bridged, Settings, Student, bridge
from titer.store import write_json, write_table
from titer.verify import Grader

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
    loaded = load_model(model)
    sampling = Sampling(temperature=settings.temperature, top_p=1.0, max_tokens=settings.max_tokens, seed=seed)
    with Grader() as grader:
        sampler = Sampler(
            generator_of(loaded, generate, name=model), grader, sampling, model_identity(model), generate.chunk
        )
        found = bridge(
            traces,
            problems,
            Student(loaded, sampler),
            _settings(settings),
            work=work / "rollouts",
            rewriter=_rewriter(settings, sampler),
        )
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


def _rewriter(settings: Bridge, student: Sampler) -> Sampler | None:
    """The server's model in the student's place, where the recipe names one."""
    if not (settings.server and settings.rewriter):
        return None
    from titer.generate import ServerGenerator

    generator = ServerGenerator(settings.server, settings.rewriter, timeout=settings.timeout, max_retries=2)
    return student._replace(generator=generator, model=model_identity(settings.rewriter, settings.server))
