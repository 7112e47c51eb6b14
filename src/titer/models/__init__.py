"""Loading models: folders, hub ids, GGUF files, adapters, and the two that titer knows by name."""

from titer.models.load import Loaded, add_lora, load_model, locate

__all__ = ["Loaded", "add_lora", "load_model", "locate"]
