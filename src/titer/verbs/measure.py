"""Solve rates of a model on a file of problems.

result = measure("lab", "problems.jsonl", out="measured")
result.bands       # {"simple": 0.2, "medium": 0.5, "hard": 0.3}
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.measure import Band, SolveRate, band_shares
from titer.pipeline.alone import alone
from titer.pipeline.routes.measuring import sample_rates
from titer.pipeline.routes.rates import write_rates
from titer.pipeline.sampling import progress_lines
from titer.recipe import Generate, Measure
from titer.records.reading import OnBad
from titer.rollouts import model_identity
from titer.verbs.idle import refuse_idle
from titer.verbs.reading import checked_problems
from titer.verbs.sampling import open_generator


class MeasureResult(NamedTuple):
    """Solve rates by problem, the share of problems in each band, all and ungraded rollouts, dropped rows."""

    rates: dict[str, SolveRate]
    bands: dict[Band, float]
    rollouts: int
    ungraded: int
    dropped: list[str]


@alone
def measure(
    model: str,
    problems: str | Path,
    *,
    out: str | Path,
    settings: Measure | None = None,
    generate: Generate | None = None,
    server: str | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
    said: Callable[[str], None] = lambda _: None,
) -> MeasureResult:
    """Sample every problem of a file and write `rollouts.jsonl` and `solve_rates.parquet` into `out`; resumes
    there.

    `server` is the base URL of an OpenAI-compatible server; `model` is then the name it serves. Raises InputError
    for what `read_problems` and the verifiers refuse; with `on_bad="drop"` such rows are listed in the result.
    """
    refuse_idle(settings, {"problems"}, "every problem of the file is measured")
    settings, generate, folder = settings or Measure(), generate or Generate(), Path(out)
    dropped: list[InputError] = []
    rows = checked_problems(problems, on_bad, dropped)
    rollouts, rates = sample_rates(
        open_generator(model, generate, server),
        rows,
        settings,
        out=folder / "rollouts.jsonl",
        model=model_identity(model, server),
        chunk=generate.chunk,
        seed=seed,
        said=progress_lines(said, "measure"),
    )
    write_rates(folder / "solve_rates.parquet", rates, rows)
    ungraded = sum(rollout.score is None for rollout in rollouts)
    return MeasureResult(rates, band_shares(rates.values()), len(rollouts), ungraded, [str(error) for error in dropped])
