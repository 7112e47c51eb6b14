"""A model as a folder in Hugging Face format, for the engines that read weights themselves.

weights = as_folder("smollm2")        # adapters and GGUF files are written out, merged and whole
weights.path, ends_of(weights.path, tokenizer)
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from titer.models.load import NO_CODE, load_model, locate
from titer.records.templates import end_ids


class Folder:
    """Where a model's weights are; those that had to be written out go when nobody holds this any more."""

    def __init__(self, path: str, written: tempfile.TemporaryDirectory[str] | None = None) -> None:
        """`written` is the folder that was made for them."""
        self.path = path
        self._written = written


def as_folder(model: str) -> Folder:
    """The model's own folder or hub id, where another program can read it as it is; a copy of its weights otherwise.

    Raises InputError as `load_model` does.
    """
    place = locate(model)
    if not Path(place).exists() or _is_plain(Path(place)):
        return Folder(place)
    loaded = load_model(model)
    written = tempfile.TemporaryDirectory(prefix="titer-model-")
    loaded.model.save_pretrained(written.name, safe_serialization=True)
    loaded.tokenizer.save_pretrained(written.name)
    return Folder(written.name, written)


def ends_of(path: str, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a turn, without the weights: as the model would know them if it were loaded."""
    from transformers import AutoConfig, GenerationConfig

    try:
        generation = GenerationConfig.from_pretrained(path)
    except OSError:  # a folder need not have one
        generation = GenerationConfig.from_model_config(AutoConfig.from_pretrained(path, **NO_CODE))
    return end_ids(generation.eos_token_id, tokenizer)


def _is_plain(folder: Path) -> bool:
    return (folder / "config.json").exists() and not (folder / "adapter_config.json").exists()
