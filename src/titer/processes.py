"""The processes that train together, under `torchrun` or `accelerate launch`; one where there is no launcher. And what
a process has held.

if is_main():
    write_json(...)
objective = agreed(objective)        # the main process's word
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def without_accelerator() -> bool:
    """Whether this process computes on CPU. accelerate has to be told: launched by `torchrun` on a machine without an
    accelerator it would take every process for the only one. Under DeepSpeed, which knows its device, it may not."""
    import torch

    return not under_deepspeed() and not torch.accelerator.is_available()


def has_bf16() -> bool:
    """Whether there is a GPU that computes in bfloat16."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


def under_deepspeed() -> bool:
    """Whether the launcher is configured for DeepSpeed."""
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"


def this_process() -> Any:
    """accelerate's state of this process: device, rank, number of processes."""
    from accelerate import PartialState

    return PartialState(cpu=without_accelerator())


def launched() -> int:
    """The processes that a launcher has started; known before torch is there."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def is_main() -> bool:
    """Whether this process speaks and writes for all of them."""
    return int(os.environ.get("RANK") or 0) == 0


def agreed(value: T) -> T:
    """The main process's value, in every process: numbers measured on several devices may differ in the last digit, and
    a decision must not."""
    if launched() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    this_process()
    values = [value]
    broadcast_object_list(values)
    return values[0]


def highest() -> int:
    """Bytes that it held at most. On Linux the kernel's mark of this program alone: `ru_maxrss` also holds what the
    process that started this one held when it did."""
    status = Path("/proc/self/status")
    if status.exists():
        (mark,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(mark) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
