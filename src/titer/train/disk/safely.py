"""Reads a state that `torch.distributed.checkpoint` has saved, without running what somebody put into its files.

    refuse_foreign(folder)
    load(state, checkpoint_id=str(folder), planner=SafePlanner())

PyTorch unpickles a state's metadata, and all that are no tensors, whatever they name. Here only the classes of which
such a state consists are known, and the values are those that `torch.load(weights_only=True)` takes.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, Final

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING
from torch.distributed.checkpoint.planner import ReadItem

_KNOWN: Final = {
    ("collections", "OrderedDict"),
    *((module, name) for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")),  # 3.13's
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "BytesStorageMetadata",
            "ChunkStorageMetadata",
            "Metadata",
            "MetadataIndex",
            "StorageMeta",
            "TensorProperties",
            "TensorStorageMetadata",
            "_MEM_FORMAT_ENCODING",
        )
    ),
}


def refuse_foreign(folder: Path) -> None:
    """Raises pickle.UnpicklingError for metadata that name anything else than their own classes, OSError for none."""
    found = sorted(folder.glob("*.metadata"))
    if not found:
        raise FileNotFoundError("it has no metadata")
    for file in found:
        _Known(io.BytesIO(file.read_bytes())).load()


class SafePlanner(DefaultLoadPlanner):
    """PyTorch's planner, for which what is no tensor must be plain."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Raises pickle.UnpicklingError for a value that would run something."""
        torch.load(value, weights_only=True)
        value.seek(0)
        super().load_bytes(read_item, value)


class _Known(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _member
        known = (module, name) in _KNOWN or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype))
        if not known:
            raise pickle.UnpicklingError(f"the metadata of a state name {module}.{name}, which is no part of one")
        return super().find_class(module, name)


def _member(kind: Any, name: str) -> Any:
    """What Python 3.11.0 to 3.11.3 write for a member of an enum; `getattr` of anything else could reach anything."""
    if kind is not _MEM_FORMAT_ENCODING or name not in _MEM_FORMAT_ENCODING.__members__:
        raise pickle.UnpicklingError("the metadata of a state name builtins.getattr, which is no part of one")
    return _MEM_FORMAT_ENCODING[name]
