"""The rows in decoding: what each of them has drawn, and one step for all of them.

    rows = ActiveRows(model, sampling, eos_ids, stops=None)
    while seats or len(rows):
        rows.seat(seats)                  # rows come in beside the prefill of their prompts
        for finished in rows.draw(): ...  # one token each; the finished ones have left
        rows.forward()

B rows, M `max_tokens`, V vocabulary. Time counts the columns of the cache: a row that enters at time t draws its
token i at t + i.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from titer.generate.draw import draw
from titer.generate.kv import RowCache, as_cache
from titer.generate.protocol import Request, Sampling
from titer.generate.streams import stream_key, uniforms
from titer.generate.text import TokenStops
from titer.records.schema import FinishReason


@dataclass(frozen=True, slots=True, eq=False)
class Prefill:
    """One forward pass over P left-padded prompts. `logits_PV` are those after the last token."""

    cache: DynamicCache
    logits_PV: Tensor


@dataclass(slots=True, eq=False)
class Prompt:
    """A request as tokens. `limit` is what `max_tokens` and the context leave; all samples share the prefill."""

    request: Request
    ids: list[int]
    opener: str
    limit: int
    prefill: Prefill | None = None
    prefill_row: int = -1


class Seat(NamedTuple):
    """One sample of one prompt, to be given a row."""

    prompt: Prompt
    sample: int

    @property
    def is_last(self) -> bool:
        """Whether no further sample of the prompt will come."""
        return self.sample == self.prompt.request.first + self.prompt.request.n - 1


class Finished(NamedTuple):
    """A row that has left. `ids` are all tokens that it drew, its end-of-turn token included."""

    seat: Seat
    ids: list[int]
    reason: FinishReason


class _State(NamedTuple):
    """What is kept per row, as tensors."""

    start_B: Tensor  # time at which the prompt's first token stands
    born_B: Tensor  # time of the first draw
    last_B: Tensor  # time of the last draw that the limit allows
    uniforms_BM: Tensor
    drawn_BM: Tensor


class ActiveRows:
    """All rows that are being decoded, on one timeline."""

    def __init__(
        self, model: PreTrainedModel, sampling: Sampling, eos_ids: Iterable[int], stops: TokenStops | None
    ) -> None:
        self._model = model
        self._sampling = sampling
        self._stops = stops
        self._eos = torch.tensor(sorted(eos_ids), dtype=torch.long, device=model.device)
        self._seats: list[Seat] = []
        self._cache = RowCache()
        self._named_cache = as_cache(model, self._cache)
        self._state = self._new_state([])
        self._logits_BV = torch.empty(0, device=model.device)

    def __len__(self) -> int:
        return len(self._seats)

    @property
    def columns(self) -> int:
        """Tokens of the longest row, prompt and limit together; 0 without rows."""
        return max((len(seat.prompt.ids) + seat.prompt.limit for seat in self._seats), default=0)

    @torch.inference_mode()
    def seat(self, seats: Sequence[Seat]) -> None:
        """Let rows in. Their prompts must have been prefilled; the prefill is dropped with the last sample."""
        groups = _by_prefill(seats)
        expected = len(self) + len(seats)
        # The widest first: then the buffers move once.
        for prefill, group in sorted(groups.items(), key=lambda item: -item[0].cache.get_seq_length()):
            index = torch.tensor([seat.prompt.prefill_row for seat in group], device=self._model.device)
            self._cache.enter(prefill.cache, index, expected=expected)
            logits_BV = prefill.logits_PV[index]
            self._logits_BV = torch.cat([self._logits_BV, logits_BV]) if self._seats else logits_BV
            self._state = _State(*map(torch.cat, zip(self._state, self._new_state(group), strict=True)))
            self._seats += group
        for seat in seats:
            if seat.is_last:
                seat.prompt.prefill = None

    @torch.inference_mode()
    def draw(self) -> list[Finished]:
        """Draw every row's next token, and let go of the rows for which it was the last."""
        at_B = self._cache.time - self._state.born_B
        tokens_B = draw(self._logits_BV, _column(self._state.uniforms_BM, at_B), self._sampling)
        self._state.drawn_BM.scatter_(1, at_B[:, None], tokens_B[:, None])
        self._tokens_B = tokens_B
        ended_B = torch.isin(tokens_B, self._eos)
        if self._stops is not None:
            ended_B |= self._stop_hits(self._stops, at_B)
        over_B = ended_B | (self._cache.time >= self._state.last_B)
        if not over_B.any():
            return []
        finished = self._finished(over_B, ended_B, at_B + 1)
        self._leave(over_B)
        return finished

    @torch.inference_mode()
    def forward(self) -> None:
        """Run the model on the tokens just drawn, for the logits of the next ones."""
        start_B, time = self._state.start_B, self._cache.time
        seen = torch.arange(self._cache.low, time + 1, device=start_B.device)
        self._cache.make_room()
        self._logits_BV = (
            self._model(
                input_ids=self._tokens_B[:, None],
                attention_mask=seen >= start_B[:, None],
                position_ids=(time - start_B)[:, None],
                **self._named_cache,
                use_cache=True,
            )
            .logits[:, -1]
            .to(start_B.device)
        )
        self._cache.advance()

    def _new_state(self, seats: Sequence[Seat]) -> _State:
        time, most = self._cache.time, self._sampling.max_tokens
        numbers = np.zeros((len(seats), most), np.float32)
        for row, seat in zip(numbers, seats, strict=True):
            row[:] = uniforms(stream_key(self._sampling.seed, seat.prompt.request.id, seat.sample), most)
        times = [[time - len(seat.prompt.ids), time, time + seat.prompt.limit - 1] for seat in seats]
        start_B, born_B, last_B = torch.tensor(times, dtype=torch.long).view(-1, 3).to(self._model.device).T
        uniforms_BM = torch.from_numpy(numbers).to(self._model.device)
        return _State(start_B, born_B, last_B, uniforms_BM, torch.zeros_like(uniforms_BM, dtype=torch.long))

    def _stop_hits(self, stops: TokenStops, at_B: Tensor) -> Tensor:
        """Which rows have just completed a stop string. Only rows whose latest tokens hold one are read whole."""
        hits_B = torch.zeros_like(at_B, dtype=torch.bool)
        recent_BR = at_B[:, None] + torch.arange(1 - stops.reach, 1, device=at_B.device)
        recent = self._state.drawn_BM.gather(1, recent_BR.clamp(min=0)).tolist()
        for row in stops.suspects(recent):
            ids = self._state.drawn_BM[row, : int(at_B[row]) + 1].tolist()
            hits_B[row] = stops.hit(ids, self._seats[row].prompt.opener)
        return hits_B

    def _finished(self, over_B: Tensor, ended_B: Tensor, counts_B: Tensor) -> list[Finished]:
        index = over_B.nonzero()[:, 0]
        per_row = (index.tolist(), ended_B[index].tolist(), counts_B[index].tolist(), self._state.drawn_BM[index])
        return [
            Finished(self._seats[row], drawn_M[:count].tolist(), "stop" if ended else "length")
            for row, ended, count, drawn_M in zip(*per_row, strict=True)
        ]

    def _leave(self, over_B: Tensor) -> None:
        """The last rows that go on move into the places of those that are over."""
        rows = len(self) - int(over_B.sum())
        holes = over_B[:rows].nonzero()[:, 0]
        movers = rows + (~over_B[rows:]).nonzero()[:, 0]
        for hole, mover in zip(holes.tolist(), movers.tolist(), strict=True):
            self._seats[hole] = self._seats[mover]
        del self._seats[rows:]
        self._state = _State(*(_moved(tensor, holes, movers, rows) for tensor in self._state))
        self._tokens_B = _moved(self._tokens_B, holes, movers, rows)
        low = int(self._state.start_B.min()) if rows else self._cache.time
        self._cache.leave(holes, movers, rows=rows, low=low)


def _by_prefill(seats: Iterable[Seat]) -> dict[Prefill, list[Seat]]:
    groups: dict[Prefill, list[Seat]] = {}
    for seat in seats:
        assert seat.prompt.prefill is not None
        groups.setdefault(seat.prompt.prefill, []).append(seat)
    return groups


def _column(rows_BM: Tensor, at_B: Tensor) -> Tensor:
    return rows_BM.gather(1, at_B[:, None])[:, 0]


def _moved(tensor: Tensor, holes: Tensor, movers: Tensor, rows: int) -> Tensor:
    tensor[holes] = tensor[movers]
    return tensor[:rows]
