"""Loading models: folders, hub ids, GGUF files, adapters, and the two that titer knows by name."""

from titer.models.folder import as_folder, ends_of
from titer.models.load import (
    Described,
    Loaded,
    add_lora,
    context_length,
    describe_model,
    load_model,
    locate,
    standing_on,
)

__all__ = [
    "Described",
    "Loaded",
    "add_lora",
    "as_folder",
    "context_length",
    "describe_model",
    "ends_of",
    "load_model",
    "locate",
    "standing_on",
]
