"""Keys and values of all rows in decoding, in buffers that rows enter and leave in place.

    rows = RowCache()
    rows.enter(prefilled, index, expected=len(index))  # chosen rows of a prefilled DynamicCache come in
    model(input_ids=..., **as_cache(model, rows))      # writes one column, attends to what is visible
    rows.advance()
    rows.leave(holes, movers, rows=12, low=3)          # finished rows go, the last rows take their places

All rows share one timeline: the column now being written is `end`, and a row whose context has n tokens holds
columns [end - n, end). transformers' DynamicCache copies every key and value at every token to append one
column; here a token costs one column. Sliding-window layers keep their whole past and rely on their mask.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin

_LEAST_ROOM = 64
"""Columns. New buffers have this many to grow into, or half of what they hold if that is more."""


def as_cache(model: PreTrainedModel, cache: Cache) -> dict[str, Cache]:
    """The cache under the name that the model's forward has for it: transformers 5.24 renamed `past_key_values`."""
    inner = getattr(model, "get_base_model", lambda: model)()  # adapters pass everything on, and name nothing
    return {"cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values": cache}


@dataclass(slots=True)
class _Window:
    """Which part of the buffers the model sees: rows [0, rows), columns [low, end) of the timeline."""

    rows: int = 0
    low: int = 0
    end: int = 0
    origin: int = 0  # the timeline's column at which the buffers begin


class _RowLayer(CacheLayerMixin):
    """One layer's buffers (rows, heads, columns, head size), and the interface that models expect."""

    is_sliding = False

    def __init__(self, window: _Window, key: Tensor, value: Tensor) -> None:
        super().__init__()
        self.window = window
        self.keys, self.values = (x.new_zeros(0, x.shape[1], 0, x.shape[3]) for x in (key, value))
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the layer is made from its first keys and values."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write the current column; return all that is visible, that column included."""
        at = self.window.end - self.window.origin
        low = self.window.low - self.window.origin
        rows = self.window.rows
        self.keys[:rows, :, at] = key_states[:, :, 0]
        self.values[:rows, :, at] = value_states[:, :, 0]
        return self.keys[:rows, :, low : at + 1], self.values[:rows, :, low : at + 1]

    def get_seq_length(self) -> int:
        """Visible columns before the current one."""
        return self.window.end - self.window.low

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the mask over the visible columns."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """-1: no bound."""
        return -1

    def move(self, *, rows: int, columns: int, low: int) -> None:
        """Copy what is visible into new buffers that begin at the timeline's column `low`."""
        seen = self.window
        for name in ("keys", "values"):
            old: Tensor = getattr(self, name)
            # Zeros, not garbage: a masked column still enters the weighted sum, times 0.
            new = old.new_zeros(rows, old.shape[1], columns, old.shape[3])
            part = old[: seen.rows, :, seen.low - seen.origin : seen.end - seen.origin]
            new[: seen.rows, :, seen.low - low : seen.end - low] = part
            setattr(self, name, new)


class RowCache(Cache):
    """A cache for one-token steps over rows that come and go."""

    layers: list[_RowLayer]

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._window = _Window()

    @property
    def time(self) -> int:
        """The column that the next forward pass writes."""
        return self._window.end

    @property
    def low(self) -> int:
        """The first column that is seen."""
        return self._window.low

    def enter(self, prefilled: DynamicCache, index: Tensor, *, expected: int) -> None:
        """Append the rows `index` of a left-padded prefill, their last token in the column before `end`.

        `expected` is the number of rows that there will be when all that enter now have entered.
        """
        if not self.layers:
            self.layers = [_RowLayer(self._window, layer.keys, layer.values) for layer in prefilled.layers]
        window, rows, width = self._window, len(index), prefilled.get_seq_length()
        if not window.rows:
            window.low = window.end
        self._make_room(expected, lead=width)
        window.low = min(window.low, window.end - width)
        row = slice(window.rows, window.rows + rows)
        column = slice(window.end - width - window.origin, window.end - window.origin)
        for layer, new in zip(self.layers, prefilled.layers, strict=True):
            index = index.to(new.keys.device)  # layers may be spread over devices
            layer.keys[row, :, column] = new.keys[index]
            layer.values[row, :, column] = new.values[index]
        window.rows += rows

    def advance(self) -> None:
        """The current column is written: go on to the next one."""
        self._window.end += 1

    def make_room(self) -> None:
        """Make sure that the current column exists."""
        self._make_room(self._window.rows, lead=0)

    def leave(self, holes: Tensor, movers: Tensor, *, rows: int, low: int) -> None:
        """Keep `rows` rows: those in `movers` go into `holes`. Columns before `low` are no longer seen."""
        window = self._window
        for layer in self.layers:
            for buffer in (layer.keys, layer.values):
                seen = buffer[:, :, low - window.origin : window.end - window.origin]
                seen[holes.to(seen.device)] = seen[movers.to(seen.device)]
        window.rows, window.low = rows, low

    def _make_room(self, rows: int, lead: int) -> None:
        window = self._window
        low = min(window.low, window.end - lead)
        held_rows, _, held_columns, _ = self.layers[0].keys.shape
        if rows <= held_rows and window.origin <= low and window.end < window.origin + held_columns:
            return
        width = window.end - low
        columns = width + max(width // 2, _LEAST_ROOM)
        for layer in self.layers:
            layer.move(rows=rows, columns=columns, low=low)
        window.origin = low
