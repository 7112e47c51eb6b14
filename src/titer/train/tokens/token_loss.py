"""How a model's loss spreads over the tokens of traces, without training on them.

losses = token_losses(model, tokenizer, samples)       # −log p of every trained token, an array a sample
profile(losses[0])["near_zero_share"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titer.errors import InputError
from titer.objectives import objective
from titer.processes import has_bf16, this_process
from titer.train.scorer import Scorer, divergence_of
from titer.train.tokens.batches import MicroBatch, pad_rows, padded_groups, to_device
from titer.train.tokens.encode import Sample

MICRO_TOKENS = 8192  # of a forward pass, padding included
NEAR_ZERO = 0.01  # nats: tokens that teach nothing
TAIL = 0.1  # share of the tokens that are called the tail

PROFILE = {
    "token_nll": "mean −log p of the trace's tokens under the model, in nats",
    "near_zero_share": f"share of tokens with −log p below {NEAR_ZERO}",
    "tail_share": f"share of the loss that the {TAIL:.0%} hardest tokens hold",
}


def token_losses(model: Any, tokenizer: Any, samples: Sequence[Sample]) -> Iterator[NDArray[np.float64]]:
    """−log p of every trained token of each sample, in order, (tokens,). See `token_stats`."""
    for stats in token_stats(model, tokenizer, samples):
        yield -stats.logp_N


class SampleStats(NamedTuple):
    """Of one sample's N trained tokens: log p and the entropy, in nats, and whether none is likelier."""

    logp_N: NDArray[np.float64]
    entropy_N: NDArray[np.float64]
    hit_N: NDArray[np.float64]


@torch.no_grad()
def token_stats(
    model: Any, tokenizer: Any, samples: Sequence[Sample], *, micro_tokens: int = MICRO_TOKENS
) -> list[SampleStats]:
    """What the model makes of each sample, in order. It is put in evaluation mode, and on a GPU where there is one.

    Raises InputError for a token id that the model has no embedding or logit for, and for a log p that is no number.
    """
    check_vocabulary(model, samples)
    model.to(this_process().device).eval()
    f, scorer = objective("nll"), Scorer(model)

    def score(micro: MicroBatch) -> tuple[Tensor, ...]:
        scores = scorer(micro, f)
        return scores.logp_N, scores.entropy_N, scores.hit_N

    found = [SampleStats(*its) for its in _by_sample(score, model.device, tokenizer, samples, micro_tokens)]
    for sample, stats in zip(samples, found, strict=True):
        if not np.isfinite(stats.logp_N).all():
            raise InputError(
                f"the model gives trace {sample.trace_id!r} a log p that is no number",
                field="model",
                remedy="look at its weights: some are not finite",
            )
    return found


@torch.no_grad()
def token_divergences(model: Any, other: Any, tokenizer: Any, samples: Sequence[Sample]) -> list[NDArray[np.float64]]:
    """KL(model ‖ other), in nats, of the distributions at every trained token of each sample, in order.

    Exact at each token: the sum over the vocabulary, which no draw of tokens stands in for. Raises InputError as
    `token_stats` does for token ids.
    """
    for one in (model, other):
        check_vocabulary(one, samples)
        one.to(this_process().device).eval()

    def score(micro: MicroBatch) -> tuple[Tensor, ...]:
        return (divergence_of(model, other, micro),)

    return [kl_N for (kl_N,) in _by_sample(score, model.device, tokenizer, samples, MICRO_TOKENS)]


def _by_sample(
    score: Callable[[MicroBatch], tuple[Tensor, ...]],
    device: torch.device,
    tokenizer: Any,
    samples: Sequence[Sample],
    micro_tokens: int,
) -> list[tuple[NDArray[np.float64], ...]]:
    """What `score` finds at the trained tokens of a micro-batch, by sample, in the samples' order."""
    found: dict[int, tuple[NDArray[np.float64], ...]] = {}
    order = sorted(range(len(samples)), key=lambda i: len(samples[i].ids))
    for group in padded_groups(order, samples, micro_tokens):
        micro = to_device(pad_rows([samples[i] for i in group], tokenizer.pad_token_id or 0), device)
        with _half_precision(device):
            values = [value_N.double().cpu().numpy() for value_N in score(micro)]
        places_N = micro.samples_N.cpu().numpy()
        for place, i in enumerate(group):
            found[i] = tuple(value_N[places_N == place] for value_N in values)
    return [found[i] for i in range(len(samples))]


def _half_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 on a GPU that has it, as training takes it."""
    if device.type == "cuda" and has_bf16():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def check_vocabulary(model: Any, samples: Sequence[Sample]) -> None:
    """Raises InputError for a token id that the model has no embedding or no logit for."""
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    rows = min(end.weight.shape[0] for end in ends if hasattr(end, "weight"))
    for sample in samples:
        if (largest := max(sample.ids)) >= rows:
            raise InputError(
                f"trace {sample.trace_id!r} has token id {largest}, the model knows {rows}",
                field="model",
                remedy="use the tokenizer that belongs to the model",
            )


def profile(loss_N: NDArray[np.float64]) -> dict[str, float]:
    """The figures of PROFILE for one sample's token losses, as arXiv 2604.01702 looks at them; thresholds ours."""
    hardest = np.sort(loss_N)[::-1][: max(1, round(TAIL * len(loss_N)))]
    total = float(loss_N.sum())
    return {
        "token_nll": float(loss_N.mean()),
        "near_zero_share": float((loss_N < NEAR_ZERO).mean()),
        "tail_share": float(hardest.sum()) / total if total > 0 else 0.0,
    }
