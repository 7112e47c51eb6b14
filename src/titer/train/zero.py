"""DeepSpeed's ZeRO behind the training loop. Its engine averages, clips and steps, and is told which pass of an update
is the last: an update has as many as its traces need.

    stage = settle(accelerator, settings)               # of ZeRO; 0 where the launcher has no DeepSpeed
    backward(accelerator, scorer, loss, last=False)     # and so on; the engine steps when the loop says `scorer.step()`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor

from titer.errors import InputError
from titer.processes import under_deepspeed
from titer.recipe import Train

TAG = "zero"  # of the engine's own state
WHOLE = 3  # stage from which no process has a whole weight outside of a module's own forward


def is_zero(accelerator: Accelerator) -> bool:
    """Whether the launcher was configured for DeepSpeed."""
    return bool(accelerator.distributed_type == DistributedType.DEEPSPEED)


def require_deepspeed() -> None:
    """Raises InputError where a launcher is configured for DeepSpeed and it is not installed."""
    if not under_deepspeed():
        return
    from accelerate.utils import is_deepspeed_available

    if not is_deepspeed_available():
        raise InputError(
            "the launcher is configured for DeepSpeed, which is not installed",
            field="train.launch",
            remedy="pip install deepspeed, or use fsdp2, which shards the same",
        )


def settle(accelerator: Accelerator, settings: Train) -> int:
    """Give DeepSpeed's configuration what the recipe says; the stage of ZeRO, 0 without DeepSpeed.

    Raises InputError for an optimizer or a schedule in the configuration, which the recipe has, for scaled float16, and
    for what the engine has no place for: two optimizers, and a sum of weights known after the last pass.
    """
    if not is_zero(accelerator):
        return 0
    plugin = accelerator.state.deepspeed_plugin
    config = plugin.deepspeed_config
    for section in ("optimizer", "scheduler"):
        if section in config:
            raise InputError(
                f"DeepSpeed's configuration has a section {section}, and so has the recipe",
                field="train.launch",
                remedy="leave it out there",
            )
    if str(config.get("fp16", {}).get("enabled", False)).lower() == "true":
        raise InputError("float16 in DeepSpeed's configuration", field="train.launch", remedy="use train.precision")
    if settings.optimizer == "muon":
        raise InputError("muon has adamw beside it", field="train.optimizer", remedy="DeepSpeed takes one: use adamw")
    if settings.normalize == "weights":
        raise InputError(
            "weights, under DeepSpeed: its engine has averaged the gradients when their sum is known",
            field="train.normalize",
            remedy="use tokens, or fsdp2",
        )
    # the loop marks passes and sums them; a number of its own would divide once more
    config.update(gradient_accumulation_steps=1, gradient_clipping=settings.clip)
    # these two it must have, and they must agree; what they say goes into a line of its log alone
    config.update(train_micro_batch_size_per_gpu=1, train_batch_size=accelerator.num_processes)
    config["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] = True  # checkpoints are whole models
    return int(plugin.zero_stage)


def backward(accelerator: Accelerator, scorer: Any, loss: Tensor, *, last: bool) -> None:
    """The backward pass; `last` says that the update has no other behind it."""
    if is_zero(accelerator):
        scorer.set_gradient_accumulation_boundary(last)
        scorer.backward(loss)
    else:
        accelerator.backward(loss)


def save_engine(scorer: Any, folder: Path) -> None:
    """The engine's state, as DeepSpeed writes it: each process its own share."""
    scorer.save_checkpoint(str(folder), tag=TAG)


def load_engine(scorer: Any, folder: Path, *, saved_by: int, processes: int) -> None:
    """Load what `save_engine` has left. Raises InputError for a state of another launcher or number of processes."""
    if not (folder / TAG).is_dir():
        raise InputError("the state was not saved under DeepSpeed", file=folder, remedy="go on as it was begun")
    if saved_by != processes:
        raise InputError(
            f"a state of {saved_by} processes cannot be gone on with by {processes} under DeepSpeed",
            file=folder,
            remedy="take as many as before, or remove it to begin anew",
        )
    scorer.load_checkpoint(str(folder), tag=TAG)
