"""Which samples make an update, and how they are laid out in tensors.

    order = SampleOrder(count=len(samples), batch_size=32, seed=0)
    for micro in micro_batches([samples[i] for i in order.of_update(7)], tokens=8192, packing=False): …

The samples of an update depend on nothing but its number, so a resumed run sees what an uninterrupted one would
have seen; epochs follow one another without a gap, so no sample is skipped or shown twice in one. How an update
is split into micro-batches changes speed and memory, never the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from titer.train.tokens.encode import UNLABELLED, Sample


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """An endless row of shuffled epochs, cut into updates of `batch_size` samples."""

    count: int
    batch_size: int
    seed: int

    def of_update(self, update: int) -> list[int]:
        """Indices of the samples of one update, counted from 0."""
        first = update * self.batch_size
        return [self._at(i) for i in range(first, first + self.batch_size)]

    def updates(self, epochs: float) -> int:
        """Updates that show every sample `epochs` times (the last one rounded up)."""
        return max(1, math.ceil(epochs * self.count / self.batch_size - 1e-9))

    def _at(self, position: int) -> int:
        epoch, place = divmod(position, self.count)
        return int(_shuffled(self.count, self.seed, epoch)[place])


@lru_cache(maxsize=8)
def _shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


class MicroBatch(NamedTuple):
    """One forward pass over B rows of T tokens, N of whose positions are trained.

    `rows_N`, `columns_N` say where the logits that predict `targets_N` stand, `samples_N` which of the batch's S
    samples each belongs to, and `kinds_N` the kind of its reasoning step. `base_mean_S` is the samples' `base_mean`.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    rows_N: Tensor
    columns_N: Tensor
    targets_N: Tensor
    samples_N: Tensor
    kinds_N: Tensor
    base_mean_S: Tensor


def micro_batches(samples: Sequence[Sample], *, tokens: int, packing: bool, pad: int = 0) -> Iterator[MicroBatch]:
    """The samples of one update in passes of at most `tokens` (padded) tokens, or one sample if that is longer."""
    ordered = sorted(samples, key=lambda sample: len(sample.ids))
    if packing:
        for group in _packed_groups(ordered, tokens):
            yield pack(group)
    else:
        for places in padded_groups(range(len(ordered)), ordered, tokens):
            yield pad_rows([ordered[place] for place in places], pad)


def to_device(batch: MicroBatch, device: torch.device) -> MicroBatch:
    """The micro-batch on the device that trains."""
    return MicroBatch(*(tensor.to(device) for tensor in batch))


def pad_rows(samples: Sequence[Sample], pad: int) -> MicroBatch:
    """A row a sample, padded on the right: under causal attention no real token ever sees padding."""
    longest = max(len(sample.ids) for sample in samples)
    ids_BT = torch.full((len(samples), longest), pad)
    for row, sample in enumerate(samples):
        ids_BT[row, : len(sample.ids)] = torch.tensor(sample.ids)
    positions_BT = torch.arange(longest).expand(len(samples), longest)
    starts = [(row, 0, sample) for row, sample in enumerate(samples)]
    return MicroBatch(ids_BT, positions_BT, *_targets(starts))


def pack(samples: Sequence[Sample]) -> MicroBatch:
    """One row of all samples end to end.

    Positions restart with each sample, which transformers turns into attention that stays inside it.
    """
    ids_BT = torch.tensor([[i for sample in samples for i in sample.ids]])
    positions_BT = torch.cat([torch.arange(len(sample.ids)) for sample in samples])[None]
    starts, offset = [], 0
    for sample in samples:
        starts.append((0, offset, sample))
        offset += len(sample.ids)
    return MicroBatch(ids_BT, positions_BT, *_targets(starts))


def _targets(starts: Sequence[tuple[int, int, Sample]]) -> tuple[Tensor, ...]:
    """What MicroBatch says of the trained tokens; a token is predicted one column before its own."""
    rows, columns, targets, owners, kinds = (list[int]() for _ in range(5))
    for place, (row, offset, sample) in enumerate(starts):
        first = max(sample.prompt_length, 1)
        rows += [row] * sample.trained
        columns += range(offset + first - 1, offset + len(sample.ids) - 1)
        targets += sample.ids[first:]
        owners += [place] * sample.trained
        kinds += sample.kinds or [UNLABELLED] * sample.trained
    means = torch.tensor([sample.base_mean for _, _, sample in starts])
    return (*map(torch.tensor, (rows, columns, targets, owners, kinds)), means)


def padded_groups(order: Iterable[int], samples: Sequence[Sample], tokens: int) -> Iterator[list[int]]:
    """Runs of samples (their places, shortest first) of at most so many padded tokens, or one that is longer."""
    group: list[int] = []
    for place in order:
        if group and len(samples[place].ids) * (len(group) + 1) > tokens:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _packed_groups(ordered: Sequence[Sample], tokens: int) -> Iterator[list[Sample]]:
    group: list[Sample] = []
    used = 0
    for sample in ordered:
        if group and used + len(sample.ids) > tokens:
            yield group
            group, used = [], 0
        group.append(sample)
        used += len(sample.ids)
    if group:
        yield group
