"""Trainings on several gloo processes, forked from one interpreter, so that it is imported once.

python worlds.py FOLDER        # a folder a row of `WORLDS`
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from pathlib import Path
from typing import NamedTuple

import torch

sys.path.insert(0, str(Path(__file__).parent))
from training import TOKENIZER, lab_samples, tiny_model

from titer.recipe import Train
from titer.store import write_table
from titer.train import loop, train

COMMON = Train(updates=9, batch_size=4, learning_rate=1e-2, precision="fp32")
RUNS = {
    # with ten samples: neither they nor the seven of an update divide by the processes, and micro-batches differ in
    # number between them
    "uneven": (COMMON.model_copy(update={"batch_size": 7, "micro_tokens": 150}), 10),
    "half": (COMMON.model_copy(update={"batch_size": 7, "micro_tokens": 150, "precision": "bf16"}), 10),
    # two and a half updates an epoch, so that the seventh is in the middle of the third
    "short": (COMMON.model_copy(update={"micro_tokens": 200, "packing": True}), 10),
    # learned well before 150 updates
    "ended": (
        COMMON.model_copy(
            update={
                "objective": "nll",
                "updates": 150,
                "learning_rate": 6e-3,
                "schedule": "constant",
                "stop": "endpoint",
                "micro_tokens": 200,
                "packing": True,
            }
        ),
        4,
    ),
}


class Launch(NamedTuple):
    """Processes, whether the model is sharded over them, and the update before which they die (0: none)."""

    processes: int
    sharded: bool = False
    dies: int = 0


COOLING = -1  # dies in the cooldown: in the update behind the one in which the training of the same run was stopped
TOGETHER = {
    "ddp-2": [Launch(2)],
    "ddp-4": [Launch(4)],
    "fsdp-2": [Launch(2, sharded=True)],
    "fsdp-4": [Launch(4, sharded=True)],
    "ddp-2-4-1": [Launch(2, dies=3), Launch(4, dies=6), Launch(1)],
    "fsdp-2-4-1": [Launch(2, True, dies=3), Launch(4, True, dies=6), Launch(1)],
    "one-then-sharded": [Launch(1, dies=4), Launch(2, sharded=True)],
}
"""What must come to the same as one process."""
WORLDS = {
    "one": ("uneven", [Launch(1)]),
    **{name: ("uneven", launches) for name, launches in TOGETHER.items()},
    "half-1": ("half", [Launch(1)]),
    "half-2": ("half", [Launch(2, sharded=True)]),
    "short-1": ("short", [Launch(1)]),
    "short-1-cut": ("short", [Launch(1, dies=6), Launch(1)]),
    "short-2": ("short", [Launch(2)]),
    "short-2-cut": ("short", [Launch(2, dies=6), Launch(2)]),
    "short-torn": ("short", [Launch(1, dies=6)]),
    "ended-2": ("ended", [Launch(2)]),
    "ended-2-cut": ("ended", [Launch(2, dies=COOLING), Launch(2)]),
}


def shard_on_cpu() -> None:
    """Let accelerate shard on CPU, which it does on accelerators alone: it asks how processes are distributed."""
    from accelerate.state import DistributedType, PartialState

    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    }
    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def die_before(update: int) -> None:
    """Let the process die before this update."""
    original = loop.rate

    def rate(*, step: int, **rest: object) -> float:
        if step == update:
            os._exit(9)
        return original(step=step, **rest)  # type: ignore[arg-type]

    loop.rate = rate  # type: ignore[attr-defined]


def process(rank: int, port: int, launch: Launch, run: str, out: Path) -> None:
    """One of the processes."""
    os.environ["ACCELERATE_USE_CPU"] = "1"
    if launch.processes > 1:
        world = launch.processes
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        os.environ |= {key: str(value) for key, value in place.items()}
        os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    if launch.sharded:
        shard_on_cpu()
    if launch.dies:
        die_before(launch.dies)
    settings, samples = RUNS[run]
    # one that dies saves after every update, so that there is a state to go on from; the others need none
    settings = settings.model_copy(update={"save_seconds": 1e-6 if launch.dies else 600.0})
    model = tiny_model()
    train(model, TOKENIZER, lab_samples(samples), settings, out=out, progress=False)
    assert not launch.sharded or type(next(model.parameters())).__name__ == "DTensor"


def start(launch: Launch, run: str, out: Path) -> None:
    """Fork the processes and wait for them; they must end well, or die where they are to."""
    if launch.dies == COOLING:
        stop = json.loads((out.with_name(out.name.removesuffix("-cut")) / "endpoint.json").read_text())
        launch = launch._replace(dies=stop["fired"] + 1)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(launch.processes):
        child = os.fork()
        if not child:
            code = 1
            try:
                process(rank, port, launch, run, out)
                code = 0
            finally:
                sys.excepthook(*sys.exc_info()) if code else None  # type: ignore[arg-type]
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [9 if launch.dies else 0] * launch.processes, (out.name, launch, codes)
    assert not launch.dies or (out / "state").exists()


if __name__ == "__main__":
    torch.set_num_threads(1)
    # once, before the forks: the samples, and what is imported by the first table
    lab_samples(10)
    write_table(Path(sys.argv[1]) / "first.parquet", [{"id": "first"}])
    gc.freeze()  # what is there already is not for each process to look through
    for name, (run, launches) in WORLDS.items():
        for launch in launches:
            start(launch, run, Path(sys.argv[1]) / name)
