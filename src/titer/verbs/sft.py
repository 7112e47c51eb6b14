"""Supervised fine-tuning on a file of traces.

result = sft("lab", "traces.jsonl", out="sft", settings=Train(epochs=3))
result.checkpoint
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from titer.errors import InputError
from titer.recipe import Train
from titer.records import Trace, read_traces


class SftResult(NamedTuple):
    """The last checkpoint, its updates, its token accuracy on the fixed subset, and what was trained on and dropped."""

    checkpoint: str
    updates: int
    token_accuracy: float | None
    traces: int
    dropped: list[str]


def sft(
    model: str,
    traces: str | Path,
    *,
    out: str | Path,
    settings: Train | None = None,
    seed: int = 0,
    on_bad: Literal["stop", "drop"] = "stop",
    progress: bool = False,
) -> SftResult:
    """Fine-tune `model` on every trace of a file; goes on where an interrupted call with the same `out` stopped.

    Raises InputError for bad rows (with `on_bad="drop"` they are listed in the result), truncated traces, and
    whatever `titer.train` refuses.
    """
    import json

    from titer.models import add_lora, load_model
    from titer.pipeline.stages import context_length
    from titer.train import encode_all, train

    settings = settings or Train()
    dropped: list[InputError] = []
    rows = _traces(traces, on_bad, dropped)
    loaded = load_model(model)
    samples = encode_all(
        rows,
        loaded.tokenizer,
        max_length=context_length(settings.max_length, loaded.model),
        too_long=settings.too_long,
        dropped=dropped,
    )
    student = add_lora(loaded.model, settings.lora) if settings.lora else loaded.model
    result = train(student, loaded.tokenizer, samples, settings, out=Path(out), seed=seed, progress=progress)
    probes = (Path(out) / "probe.jsonl").read_text(encoding="utf-8").splitlines()
    accuracy = json.loads(probes[-1])["token_accuracy"] if probes else None
    return SftResult(str(result.last), result.updates, accuracy, len(samples), [str(error) for error in dropped])


def show_sample(model: str, traces: str | Path) -> str:
    """The first trace as it will be trained on, in rich markup: the prompt dim, the trained tokens green."""
    from titer.models import load_model
    from titer.train import encode, show

    tokenizer = load_model(model).tokenizer
    return show(encode(next(read_traces(traces)), tokenizer), tokenizer)


def _traces(file: str | Path, on_bad: Literal["stop", "drop"], dropped: list[InputError]) -> list[Trace]:
    rows = list(read_traces(file, on_bad=on_bad, dropped=dropped, truncated="bad"))
    if not rows:
        raise InputError("no trace is left to train on", file=file, remedy="give a file with usable traces")
    return rows
