"""Optimizers of a training."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer

from titer.recipe import Train


def make_optimizers(model: Any, settings: Train) -> list[Optimizer]:
    """AdamW over everything trainable, or Muon over the layers' matrices beside AdamW over the rest."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if settings.optimizer == "adamw":
        return [_adamw(list(trained.values()), settings)]
    # Muon orthogonalises updates, which suits linear maps; embeddings are look-up tables
    inner = [p for name, p in trained.items() if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
    chosen = {id(p) for p in inner}
    muon = torch.optim.Muon(
        inner,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",  # so that one learning rate serves both
    )
    return [muon, _adamw([p for p in trained.values() if id(p) not in chosen], settings)]


def _adamw(parameters: list[torch.nn.Parameter], settings: Train) -> Optimizer:
    """AdamW that decays matrices only: norms and biases are scales, not directions to be kept small."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate, betas=settings.betas)
