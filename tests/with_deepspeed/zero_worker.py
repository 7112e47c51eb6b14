"""One process of a training under DeepSpeed, as `accelerate launch` starts it:

zero_worker.py OUT RUN DIES        # a run of worlds.py, and the update before which the process dies (0: none)
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
from training import TOKENIZER, lab_samples, tiny_model
from worlds import RUNS, die_before

from titer.train import train


def meet_on_cpu() -> None:
    """Let accelerate use DeepSpeed on CPU, which it does on accelerators alone: it asks how processes are distributed,
    and takes what it does not know for a single one."""
    from accelerate.state import DistributedType, PartialState

    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.DEEPSPEED


if __name__ == "__main__":
    torch.set_num_threads(1)
    meet_on_cpu()
    out, run, dies = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if dies:
        die_before(dies)
    settings, samples = RUNS[run]
    # one that dies saves after every update, so that there is a state to go on from
    settings = settings.model_copy(update={"save_seconds": 1e-6 if dies else 600.0})
    train(tiny_model(), TOKENIZER, lab_samples(samples), settings, out=out, progress=False)
