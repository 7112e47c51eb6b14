"""What is there: devices, dtypes, attention kernels, engines and extras, disk.

machine = inspect(Path("runs"))
machine.devices, machine.engines["engine vllm"].remedy
"""

from __future__ import annotations

import importlib.util
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

from titer.cores import usable_cores
from titer.processes import has_bf16

EXTRAS: Final = {
    # what it is for: (module, how to get it)
    "engine transformers": ("transformers", "pip install titer"),
    "engine vllm": ("vllm", "pip install vllm in an environment of its own, and name its python: generate.vllm_python"),
    "engine ray": ("ray", "pip install 'titer[ray]'"),
    "engine server": ("openai", "pip install titer"),
    "RL": ("trl", "pip install 'titer[rl]'"),
    "GGUF models": ("gguf", "pip install 'titer[gguf]'"),
    "IFEval": ("if_verifiable", "pip install 'titer[ifeval]'"),
    "lm-eval": ("lm_eval", "pip install 'titer[harness]'"),
    "S3": ("s3fs", "pip install 'titer[s3]'"),
}


class Engine(NamedTuple):
    """A package: its version, "" where it is not there, and how to get it."""

    version: str
    remedy: str


class Device(NamedTuple):
    """Where tensors live. Bytes of its memory, and what of it is free."""

    name: str
    memory: int
    free: int


class Machine(NamedTuple):
    """What was found. `cores` are those that this process may use, `disk` free bytes where runs are kept, and
    `configurations` the folder of accelerate's configurations that come with titer."""

    cores: int
    devices: list[Device]
    dtypes: list[str]
    attention: list[str]
    engines: dict[str, Engine]
    disk: int
    configurations: str


def inspect(place: Path) -> Machine:
    """Look around; `place` is where runs are kept, or would be."""
    from titer.pipeline.training.launching import configuration

    return Machine(
        cores=usable_cores(),
        devices=_devices(),
        dtypes=_dtypes(),
        attention=_attention(),
        engines={name: Engine(_version(module), remedy) for name, (module, remedy) in EXTRAS.items()},
        disk=shutil.disk_usage(_there(place)).free,
        configurations=str(configuration("ddp").parent),
    )


def _devices() -> list[Device]:
    import psutil  # type: ignore[import-untyped]  # accelerate brings it
    import torch

    memory = psutil.virtual_memory()
    found = [Device("CPU", int(memory.total), int(memory.available))]
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            found.append(Device(torch.cuda.get_device_name(i), total, free))
    elif torch.accelerator.is_available():
        found.append(Device(str(torch.accelerator.current_accelerator()), 0, 0))
    return found


def _dtypes() -> list[str]:
    """What training computes in here: float32 anywhere, bfloat16 where the device has units for it."""
    return ["float32", *(["bfloat16"] if has_bf16() else [])]


def _attention() -> list[str]:
    """Kernels that transformers may take."""
    import torch

    named = {
        "sdpa": True,
        "flash (in torch)": bool(torch.cuda.is_available() and torch._C._get_flash_sdp_enabled()),
        "flash-attn": importlib.util.find_spec("flash_attn") is not None,
    }
    return [name for name, there in named.items() if there]


def _version(module: str) -> str:
    if importlib.util.find_spec(module) is None:
        return ""
    packages = _packages().get(module, [module])
    try:
        return metadata.version(packages[0])
    except metadata.PackageNotFoundError:
        return "unknown"


def _packages() -> Any:
    return metadata.packages_distributions()


def _there(place: Path) -> Path:
    """The nearest folder above a place that exists."""
    return next(folder for folder in [place.resolve(), *place.resolve().parents] if folder.exists())
