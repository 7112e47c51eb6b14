"""One process of the resume test: train with packing, killed in the middle of an epoch or going on from there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from training import TOKENIZER, lab_samples, tiny_model

from titer.recipe import Train
from titer.train import loop, train

SETTINGS = Train(
    updates=9,
    batch_size=4,
    learning_rate=1e-2,
    micro_tokens=200,
    packing=True,
    precision="fp32",
    save_seconds=1e-6,
)


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
    out, kill = Path(sys.argv[1]), int(sys.argv[2])
    samples = lab_samples(10)  # two and a half updates an epoch: the seventh is in the middle of the third
    if kill:
        killed_at(kill)
    train(tiny_model(), TOKENIZER, samples, SETTINGS, out=out, progress=False)
