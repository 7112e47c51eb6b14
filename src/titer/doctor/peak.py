"""A process that trains for two updates and says how much memory that took: see `measured_peak`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from titer.models import add_lora, load_model
from titer.objectives import holds_base
from titer.processes import highest
from titer.recipe import Train
from titer.train import Sample, train

PASSES = 2  # forward passes of an update: the gradients of the first are there during the second


def main() -> None:
    """Read what to train from stdin, and print the peak in bytes."""
    import torch
    import torch._dynamo

    asked = json.load(sys.stdin)
    settings, length = Train.model_validate(asked["train"]), int(asked["length"])
    _once("lab", Train(micro_tokens=256), 32)  # what training imports and keeps anyway is no part of it
    before = resident()
    _once(asked["model"], settings, length)
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else highest() - before
    print(json.dumps({"peak": peak}))


def _once(model: str, settings: Train, length: int) -> None:
    """Train for two updates."""
    loaded = load_model(model)
    student = add_lora(loaded.model, settings.lora) if settings.lora else loaded.model
    rows = PASSES * max(1, min(settings.batch_size, settings.micro_tokens // length))
    samples = [Sample(str(i), _ids(i, length, student), length // 2) for i in range(rows)]
    alone = {"updates": 2, "batch_size": rows, "epochs": 1.0, "tokens": None, "hours": None, "repetition": None}
    quiet = {
        "objective": settings.objective if holds_base(settings.objective) else "nll",
        "probe_samples": 0,
        "stop": "budget",
        "pick": "random",
        "tracker": "none",
        "termination": None,
    }  # made-up tokens end nothing
    with tempfile.TemporaryDirectory() as out:
        how = settings.model_copy(update={**alone, **quiet, "launch": ""})
        train(student, loaded.tokenizer, samples, how, out=Path(out), progress=False)


def _ids(number: int, length: int, model: Any) -> list[int]:
    most = model.config.get_text_config().vocab_size
    return [(7 * number + 3 * place) % most for place in range(length)]


def resident() -> int:
    """Bytes that this process holds now."""
    import psutil  # type: ignore[import-untyped]  # accelerate brings it

    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
