"""One process of the FSDP2 test: of each objective the gradients of one update, sharded over gloo processes, gathered.

python -m torch.distributed.run … fsdp_worker.py FILE SPEC…
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

sys.path.insert(0, str(Path(__file__).parent))
from training import lab_samples, tiny_model

from titer.objectives import objective
from titer.train.scorer import Scorer
from titer.train.tokens.batches import micro_batches

if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    mesh = init_device_mesh("cpu", (world,))
    samples = lab_samples(8)
    total = sum(sample.trained for sample in samples)
    gathered = {}
    for spec in sys.argv[2:]:
        scorer = Scorer(tiny_model())
        for layer in scorer.model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(scorer, mesh=mesh)
        for micro in micro_batches(samples[rank::world], tokens=300, packing=True):
            (scorer(micro, objective(spec)).loss * (world / total)).backward()
        gathered[spec] = {name: weight.grad.full_tensor() for name, weight in scorer.model.named_parameters()}  # type: ignore[union-attr]
    if rank == 0:
        torch.save(gathered, sys.argv[1])
    dist.destroy_process_group()
