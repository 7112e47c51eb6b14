"""Loading models: folders, hub ids, GGUF files, adapters, and the two that titer knows by name."""

from titer.models.load import Described, Loaded, add_lora, describe_model, load_model, locate

__all__ = ["Described", "Loaded", "add_lora", "describe_model", "load_model", "locate"]
