"""How likely a model already finds the tokens of a file of traces.

prior("lab", "traces.jsonl").priors["all"].mean_p       # Interval(low, mid, high)
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.measure import Choice, Prior, choose, priors
from titer.recipe import Choose
from titer.records import read_traces
from titer.records.reading import OnBad
from titer.store import write_table
from titer.verbs.idle import refuse_idle


class PriorResult(NamedTuple):
    """The prior over all traces, by domain and by teacher; what the chooser makes of it; rows and traces left out."""

    priors: dict[str, Prior]
    choice: Choice
    dropped: list[str]


def prior(
    model: str,
    traces: str | Path,
    *,
    out: str | Path | None = None,
    settings: Choose | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
) -> PriorResult:
    """Measure the token probabilities that a model gives to some traces of a file, drawn at random.

    `settings` say how many traces, from where on the model counts as strong or weak on them, and what a strong one
    gets. With `out` the sums of each trace go into `out/prior.parquet`. Traces beyond the model's context are listed
    in `dropped`.

    Raises InputError for what `read_traces` and `encode` refuse.
    """
    from titer.models import load_model
    from titer.pipeline.training.choose import check_objective
    from titer.pipeline.training.prior import sums_of_some

    refuse_idle(settings, {"updates", "problems", "samples"}, "it is for the trial of a run")
    settings, dropped = settings or Choose(), list[InputError]()
    check_objective(settings.candidate, field="candidate")
    rows = list(read_traces(traces, on_bad=on_bad, dropped=dropped, truncated="bad"))
    sums = sums_of_some(load_model(model), rows, most=settings.traces, max_length=None, seed=seed, dropped=dropped)
    if out is not None:
        write_table(Path(out) / "prior.parquet", [one._asdict() for one in sums])
    found = priors(sums, seed=seed)
    choice = choose(found["all"], strong=settings.strong, weak=settings.weak, candidate=settings.candidate)
    return PriorResult(found, choice, [str(error) for error in dropped])
