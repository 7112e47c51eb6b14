"""One process of the resume tests: train, killed before some update or going on from there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from training import TOKENIZER, lab_samples, tiny_model

from titer.recipe import Train
from titer.train import loop, train

SHORT = Train(
    updates=9,
    batch_size=4,
    learning_rate=1e-2,
    micro_tokens=200,
    packing=True,
    precision="fp32",
    save_seconds=1e-6,
)
ENDED = SHORT.model_copy(
    update={"objective": "nll", "updates": 150, "learning_rate": 6e-3, "schedule": "constant", "stop": "endpoint"}
)
RUNS = {
    "short": (SHORT, 10),  # samples: two and a half updates an epoch, so that the seventh is in the middle of the third
    "ended": (ENDED, 4),  # learned well before 150 updates
}


def killed_at(update: int) -> None:
    """Let the process die before this update."""
    original = loop.rate

    def rate(*, step: int, **rest: object) -> float:
        if step == update:
            os._exit(9)
        return original(step=step, **rest)  # type: ignore[arg-type]

    loop.rate = rate  # type: ignore[attr-defined]


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, run, kill = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    settings, samples = RUNS[run]
    if kill:
        killed_at(kill)
    train(tiny_model(), TOKENIZER, lab_samples(samples), settings, out=out, progress=False)
