"""How many rows of a batch fit into memory.

row_budget(model, free=free_bytes(model.device)).rows(columns=prompt_tokens + max_tokens)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import DynamicCache, PreTrainedModel

from titer.generate.kv import as_cache

MOST_ROWS = 256
"""More rows than this no longer make a step cheaper per token."""

_SHARE = 0.3
"""Of the free memory. While the buffers grow, the old and the new ones exist side by side."""

_GROWTH = 1.5
"""Buffers are up to this much longer than what they hold."""

_LOGITS_COPIES = 5
"""float32 rows of the vocabulary alive at once in a draw: logits, scaled, probabilities, sorted, cumulated."""


@torch.inference_mode()
def kv_bytes_per_token(model: PreTrainedModel) -> int:
    """Bytes that one token of one row keeps in the keys and values of all layers. Measured with a pass of one token:
    layers may differ, share what they keep, or keep less or more than heads × head size (MLA)."""
    cache = DynamicCache()
    model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device), **as_cache(model, cache), use_cache=True)
    return sum(int(kept.nbytes) for layer in cache.layers for kept in (layer.keys, layer.values) if kept is not None)


class RowBudget(NamedTuple):
    """Bytes that the rows of a batch may take together, and what one row takes."""

    total: int
    per_row: int
    per_column: int
    most: int = MOST_ROWS

    def rows(self, columns: int) -> int:
        """Rows of `columns` tokens each (prompt and completion) that fit: at least 1, at most `most`. Ours."""
        return max(1, min(self.most, int(self.total / (self.per_row + self.per_column * columns))))


def row_budget(model: PreTrainedModel, *, free: int) -> RowBudget:
    """A share of the free bytes, for keys, values and logits."""
    logits = model.config.get_text_config(decoder=True).vocab_size * 4 * _LOGITS_COPIES
    kv = kv_bytes_per_token(model) * _GROWTH
    return RowBudget(total=int(_SHARE * free), per_row=logits, per_column=int(kv))


def fixed_rows(rows: int) -> RowBudget:
    """As many rows as the user says, whatever their length."""
    return RowBudget(total=rows, per_row=1, per_column=0, most=rows)


def free_bytes(device: torch.device) -> int:
    """Memory that a new tensor on this device could take."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    import psutil  # type: ignore[import-untyped]  # accelerate brings it

    return int(psutil.virtual_memory().available)
