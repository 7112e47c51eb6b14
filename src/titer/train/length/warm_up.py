"""How long an update takes on this machine.

seconds = seconds_an_update(model, tokenizer, samples, settings, work=Path("warm-up"), seed=0)
settings = in_updates(Train(hours=2), samples, seconds=seconds)
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from titer.recipe import Train
from titer.train.disk.state import read_log
from titer.train.loop import train
from titer.train.tokens.batches import SampleOrder
from titer.train.tokens.encode import Sample

UPDATES, COLD = 10, 2  # that are made, and how many of them are not timed: caches fill, kernels are compiled


def seconds_an_update(
    model: Any, tokenizer: Any, samples: Sequence[Sample], settings: Train, *, work: Path, seed: int
) -> float:
    """Seconds that an update takes on this machine, over UPDATES of them. Trains `model`; `work` is removed.

    Only training: no probes, no checkpoints, no evaluation.
    """
    alone = {"updates": UPDATES, "tokens": None, "hours": None, "repetition": None, "stop": "budget"}
    quiet = {"probe_samples": 0, "tracker": "none", "save_seconds": 3600.0}
    try:
        train(
            model,
            tokenizer,
            samples,
            settings.model_copy(update={**alone, **quiet}),
            out=work,
            seed=seed,
            progress=False,
        )
        speeds = [row["tokens_per_second"] for row in read_log(work / "log.jsonl")]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    order = SampleOrder(len(samples), settings.batch_size, seed)
    seen = [sum(len(samples[i].ids) for i in order.of_update(step)) for step in range(UPDATES)]
    seconds = [sum(seen[: step + 1]) / speed for step, speed in enumerate(speeds)]  # since the first began
    return float(seconds[-1] - seconds[COLD - 1]) / (UPDATES - COLD)
