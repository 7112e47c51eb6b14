"""How a model's loss spreads over the tokens of traces, without training on them.

losses = token_losses(model, tokenizer, samples)       # −log p of every trained token, an array a sample
profile(losses[0])["near_zero_share"]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from titer.errors import InputError
from titer.objectives import objective
from titer.processes import this_process
from titer.train.scorer import Scorer, divergence_of
from titer.train.tokens.batches import pad_rows, padded_groups, to_device
from titer.train.tokens.encode import Sample

NEAR_ZERO = 0.01  # nats: tokens that teach nothing
TAIL = 0.1  # share of the tokens that are called the tail

PROFILE = {
    "token_nll": "mean −log p of the trace's tokens under the model, in nats",
    "near_zero_share": f"share of tokens with −log p below {NEAR_ZERO}",
    "tail_share": f"share of the loss that the {TAIL:.0%} hardest tokens hold",
}


def token_losses(
    model: Any, tokenizer: Any, samples: Sequence[Sample], *, micro_tokens: int = 8192
) -> Iterator[NDArray[np.float64]]:
    """−log p of every trained token of each sample, in order, (tokens,). See `token_stats`."""
    for stats in token_stats(model, tokenizer, samples, micro_tokens=micro_tokens):
        yield -stats.logp_N


class SampleStats(NamedTuple):
    """Of one sample's N trained tokens: log p and the entropy, in nats, and whether none is likelier."""

    logp_N: NDArray[np.float64]
    entropy_N: NDArray[np.float64]
    hit_N: NDArray[np.float64]


@torch.no_grad()
def token_stats(
    model: Any, tokenizer: Any, samples: Sequence[Sample], *, micro_tokens: int = 8192
) -> list[SampleStats]:
    """What the model makes of each sample, in order. It is put in evaluation mode, and on a GPU where there is one.

    Raises InputError for a token id that the model has no embedding or logit for, and for a log p that is no number.
    """
    check_vocabulary(model, samples)
    f, pad, scorer = objective("nll"), tokenizer.pad_token_id or 0, Scorer(model)
    model.to(this_process().device).eval()
    found: dict[int, SampleStats] = {}
    order = sorted(range(len(samples)), key=lambda i: len(samples[i].ids))
    for group in padded_groups(order, samples, micro_tokens):
        micro = pad_rows([samples[i] for i in group], pad)
        with _half_precision(model.device):
            scores = scorer(to_device(micro, model.device), f)
        by_token = (scores.logp_N, scores.entropy_N, scores.hit_N)
        logp_N, entropy_N, hit_N = (one_N.double().cpu().numpy() for one_N in by_token)
        places_N = micro.samples_N.numpy()
        for place, i in enumerate(group):
            its_N = places_N == place
            found[i] = SampleStats(logp_N[its_N], entropy_N[its_N], hit_N[its_N])
            if not np.isfinite(found[i].logp_N).all():
                raise InputError(
                    f"the model gives trace {samples[i].trace_id!r} a log p that is no number",
                    field="model",
                    remedy="look at its weights: some are not finite",
                )
    return [found[i] for i in range(len(samples))]


@torch.no_grad()
def token_divergences(
    model: Any, other: Any, tokenizer: Any, samples: Sequence[Sample], *, micro_tokens: int = 8192
) -> list[NDArray[np.float64]]:
    """KL(model ‖ other), in nats, of the distributions at every trained token of each sample, in order.

    Exact at each token: the sum over the vocabulary, which no draw of tokens stands in for. Raises InputError as
    `token_stats` does for token ids.
    """
    pad = tokenizer.pad_token_id or 0
    for one in (model, other):
        check_vocabulary(one, samples)
        one.to(this_process().device).eval()
    found: dict[int, NDArray[np.float64]] = {}
    order = sorted(range(len(samples)), key=lambda i: len(samples[i].ids))
    for group in padded_groups(order, samples, micro_tokens):
        micro = to_device(pad_rows([samples[i] for i in group], pad), model.device)
        with _half_precision(model.device):
            kl_N = divergence_of(model, other, micro).double().cpu().numpy()
        places_N = micro.samples_N.cpu().numpy()
        for place, i in enumerate(group):
            found[i] = kl_N[places_N == place]
    return [found[i] for i in range(len(samples))]


def _half_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 on a GPU that has it, as training takes it."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
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
