"""The precision a training computes in, and the activations it keeps, for training and for what `doctor` predicts."""

from __future__ import annotations

from typing import Any

from titer.processes import has_bf16
from titer.recipe import Train


def in_bf16(settings: Train) -> bool:
    """Whether a training with these settings computes in bfloat16: as told, or wherever there is a GPU that can."""
    return settings.precision == "bf16" or (settings.precision == "auto" and has_bf16())


def recompute_activations(model: Any) -> None:
    """Gradient checkpointing, as every training here does it: time for memory."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
