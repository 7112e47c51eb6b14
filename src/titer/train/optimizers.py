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
    tables = _look_up_tables(model)
    inner = [p for p in trained.values() if p.ndim == 2 and id(p) not in tables]
    chosen = {id(p) for p in inner}
    muon = torch.optim.Muon(
        inner,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",  # so that one learning rate serves both
    )
    return [muon, _adamw([p for p in trained.values() if id(p) not in chosen], settings)]


def _look_up_tables(model: Any) -> set[int]:
    """Embeddings of tokens and places, whatever a model calls them, and the head that looks tokens up."""
    tables = [module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    head = model.get_output_embeddings()
    return {id(weight) for weight in [*tables, *([head.weight] if head is not None else [])]}


def _adamw(parameters: list[torch.nn.Parameter], settings: Train) -> Optimizer:
    """AdamW that decays matrices only: norms and biases are scales, not directions to be kept small."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate, betas=settings.betas)
