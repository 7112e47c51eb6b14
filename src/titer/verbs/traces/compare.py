"""Two teachers of a file, paired.

compare("traces.jsonl", a="R1", b="gpt-oss").features["propose_share"].difference
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from titer.errors import InputError
from titer.pipeline.reading import as_teachers
from titer.records import Trace, read_traces
from titer.report import render_comparison
from titer.store import write_text
from titer.traces import Comparison
from titer.traces import compare as compare_teachers
from titer.traces.compare import transition_rows
from titer.traces.features import Table

OnBad = Literal["stop", "drop"]


def compare(
    file: str | Path,
    *,
    a: str,
    b: str,
    only: Literal["solved", "all"] = "solved",
    model: str | None = None,
    html: str | Path | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
    dropped: list[InputError] | None = None,
) -> Comparison:
    """Two teachers of one file on the problems they share; see `titer.traces.compare`.

    With `model` the profile of its loss over the traces' tokens is compared too (`titer.train.token_loss`); traces
    beyond the model's context have none. With `on_bad="drop"` rows that cannot be read go to `dropped`.
    """
    rows = read_traces(file, on_bad=on_bad, dropped=[] if dropped is None else dropped)
    extra = _token_profiles(model) if model else None
    comparison = compare_teachers(rows, a=a, b=b, only=only, extra=extra, seed=seed)
    if html:
        write_text(Path(html), render_comparison(as_teachers(comparison)))
    return comparison


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain data, in the form that `titer traces compare --json` prints."""
    sides = dict(zip("ab", zip(comparison.correct, comparison.transitions, strict=True), strict=True))
    return {
        "a": comparison.a,
        "b": comparison.b,
        "problems": comparison.problems,
        "shared": comparison.shared,
        "correct": {side: correct for side, (correct, _) in sides.items()},
        "features": {name: difference._asdict() for name, difference in comparison.features.items()},
        "transitions": {side: transition_rows(shares) for side, (_, shares) in sides.items()},
    }


def _token_profiles(name: str) -> Callable[[Sequence[Trace]], Table]:
    """A function that gives each trace the profile of a model's loss over its tokens; nan where it does not fit."""
    from titer.models import load_model
    from titer.train import encode_all
    from titer.train.token_loss import PROFILE, profile, token_losses

    loaded = load_model(name)
    longest = getattr(loaded.model.config, "max_position_embeddings", None)

    def columns(traces: Sequence[Trace]) -> Table:
        samples = encode_all(traces, loaded.tokenizer, max_length=longest, too_long="drop", dropped=[])
        losses = token_losses(loaded.model, loaded.tokenizer, samples)
        found = {sample.trace_id: profile(loss) for sample, loss in zip(samples, losses, strict=True)}
        nothing = dict.fromkeys(PROFILE, float("nan"))
        return {name: np.array([found.get(trace.id, nothing)[name] for trace in traces]) for name in PROFILE}

    return columns
