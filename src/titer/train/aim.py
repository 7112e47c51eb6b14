"""What a training aims at: its objective made ready for these samples, before the first update.

    aim = take_aim(settings, model, tokenizer, samples, out=out, seed=0, writes=True)
    aim.objective, aim.samples, aim.structure

Quantiles get their cuts from the base model's token probabilities, iw its base log p, and termination-aware weights
their factor. What was measured is written to `out/objective.json`, and read from there when a training goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from titer.errors import InputError
from titer.objectives import Objective, objective, quantiles
from titer.recipe import Train
from titer.records.templates import turn_ends
from titer.records.thinking import CLOSERS
from titer.store import TRAINING_AGAIN, read_json, write_json
from titer.train.tokens.encode import Sample
from titer.train.tokens.token_loss import check_vocabulary, token_losses

logger = logging.getLogger("titer")

MOST_MEASURED = 1000  # samples that quantiles are cut on
MOST_WEIGHT = 50.0  # of a structure token (arXiv 2602.11149's follow-ups)


class Aim(NamedTuple):
    """An objective, the samples with what it asks of the base, and what the end of thinking and of the turn count.

    `structure` are the token ids of these ends, `structure_weight` the factor of f and w that they get (1: none).
    """

    objective: Objective
    samples: Sequence[Sample]
    structure: list[int]
    structure_weight: float

    def token_weights(self, targets_N: Tensor) -> Tensor | None:
        """What each target counts whatever its p; None where all count alike."""
        if not self.structure:
            return None
        among_N = torch.isin(targets_N, torch.tensor(self.structure, device=targets_N.device))
        return torch.where(among_N, self.structure_weight, 1.0)


def take_aim(
    settings: Train,
    model: Any,
    tokenizer: Any,
    samples: Sequence[Sample],
    *,
    out: Path,
    seed: int,
    writes: bool,
    f: Objective | None = None,
) -> Aim:
    """Make the objective ready; measures the base model where it must, once. `model` is the base.

    Raises InputError for a spec that cannot be read, and a token id that the model has no logit for.
    """
    # what auto comes to is decided before: by run, and by sft
    spec, file = "nll" if settings.objective == "auto" else settings.objective, out / "objective.json"
    check_vocabulary(model, samples)
    cuts: dict[float, float] = {}
    if wanted := [] if f else quantiles(spec):
        cuts = _stored_cuts(file) or _cuts(wanted, model, tokenizer, samples, seed)
    f = f or objective(spec, cuts)
    if "trace_N" in f.needs:
        losses = token_losses(model, tokenizer, samples)
        samples = [s._replace(base_mean=-float(loss.mean())) for s, loss in zip(samples, losses, strict=True)]
    structure = structure_tokens(tokenizer) if settings.termination else []
    weight = termination_weight(samples, structure, settings.termination) if settings.termination else 1.0
    if writes:
        found = {"spec": spec, "objective": f.name, "cuts": cuts, "structure_weight": weight, "structure": structure}
        write_json(file, found)
    return Aim(f, samples, structure, weight)


def structure_tokens(tokenizer: Any) -> list[int]:
    """The end of thinking and the end of the turn, where they are tokens of their own."""
    found = {tokenizer.convert_tokens_to_ids(name) for name in (*CLOSERS, *turn_ends(tokenizer))}
    unknown = {None, tokenizer.unk_token_id}  # what is no token; with GPT-2 the end of text too, which is one
    return sorted((found - unknown) | ({tokenizer.eos_token_id} - {None}))


def termination_weight(samples: Sequence[Sample], structure: Sequence[int], share: float) -> float:
    """α = f(M − Ms)/((1 − f)Ms), from 1 to 50: what gives the Ms structure tokens the share f of the M tokens' weights.

    At least 1 is ours: ends that have a larger share already keep it. Where 50 is too little, a warning has the share.
    M and Ms are counted over all samples (ours; the follow-ups of arXiv 2602.11149 do not say over what). Raises
    InputError where the samples hold no such token.
    """
    ends = set(structure)
    every = sum(sample.trained for sample in samples)
    among = sum(i in ends for sample in samples for i in sample.ids[len(sample.ids) - sample.trained :])
    if not among:
        raise InputError(
            "no trained token ends a thinking or a turn",
            field="train.termination",
            remedy="leave it out, or mend the chat template",
        )
    weight = max(1.0, share * (every - among) / ((1 - share) * among))
    if weight > MOST_WEIGHT:
        reached = MOST_WEIGHT * among / (MOST_WEIGHT * among + every - among)
        logger.warning(
            "train.termination: the ends count %g times as much, the most; of traces this long that gives them %.2g %% "
            "of the loss, not %.2g %%",
            MOST_WEIGHT,
            100 * reached,
            100 * share,
        )
    return min(MOST_WEIGHT, weight)


def _stored_cuts(file: Path) -> dict[float, float]:
    if not file.exists():
        return {}
    return read_json(
        file, lambda found: {float(q): float(cut) for q, cut in found["cuts"].items()}, remedy=TRAINING_AGAIN
    )


def _cuts(
    wanted: Sequence[float], model: Any, tokenizer: Any, samples: Sequence[Sample], seed: int
) -> dict[float, float]:
    chosen = np.random.default_rng([seed, 2]).permutation(len(samples))[:MOST_MEASURED]
    losses = np.concatenate(list(token_losses(model, tokenizer, [samples[i] for i in sorted(chosen)])))
    return {q: float(cut) for q, cut in zip(wanted, np.quantile(np.exp(-losses), wanted), strict=True)}
