"""One process of the distributed test: train the tiny model, then save weights and losses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from torch.optim.optimizer import register_optimizer_step_pre_hook
from training import TOKENIZER, lab_samples, tiny_model

from titer.recipe import Train
from titer.train import train
from titer.train.state import read_log

if __name__ == "__main__":
    torch.set_num_threads(1)
    world, out = os.environ["WORLD_SIZE"], Path(sys.argv[1])
    model = tiny_model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    first: dict[str, torch.Tensor] = {}

    def keep_gradients(*_: object) -> None:
        """What the optimizer gets at the first update: summed over processes, clipped."""
        first.update({} if first else {n: w.grad.clone() for n, w in model.named_parameters()})  # type: ignore[union-attr]

    register_optimizer_step_pre_hook(keep_gradients)
    settings = Train(updates=3, batch_size=8, learning_rate=1e-2, micro_tokens=200, precision="fp32", warmup=0.0)
    train(model, TOKENIZER, lab_samples(16), settings, out=out / world, progress=False)
    if os.environ["RANK"] == "0":
        losses = [row["loss"] for row in read_log(out / world / "log.jsonl")]
        weights = model.state_dict()
        torch.save(
            {"weights": weights, "before": before, "losses": losses, "gradients": first}, out / f"weights-{world}.pt"
        )
