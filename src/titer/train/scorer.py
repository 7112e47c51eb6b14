"""A causal language model that answers with the scores of its trained tokens, never with logits.

    scorer = Scorer(model)
    scores = scorer(batch, objective("p"))       # loss with gradient, log p, entropy, … of every trained token

It finds the model's decoder and head, checks once on a few tokens that they give the model's own logits, and falls back
to whole logits where they do not. The scores are made inside `forward`, so that DDP and FSDP see every use of a weight.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from titer.errors import InputError
from titer.objectives import (
    Base,
    Head,
    Objective,
    Scores,
    divergence,
    importance,
    log_probs,
    objective,
    score_hidden,
    score_logits,
)
from titer.train.tokens.batches import MicroBatch, pack, to_device
from titer.train.tokens.encode import Sample

logger = logging.getLogger("titer")

LEAK = (
    2e-4  # of a log p in float32: rounding is a hundredth of it, and what leaked in other architectures 5e-4 and more
)


class Scorer(nn.Module):
    """Wraps a model for training; `model` is the one that is trained, adapters included."""

    def __init__(self, model: Any, *, base: Any = None) -> None:
        """`base` is a frozen copy of the model, for objectives that stay close to it; neither trained nor saved."""
        super().__init__()
        self.model = model
        self._no_split_modules = list(getattr(_causal(model), "_no_split_modules", None) or [])  # what FSDP shards by
        self._base = (base,)  # in a tuple: no submodule, so neither trained nor saved
        self.whole_logits = not _fits(model)
        if self.whole_logits:
            logger.warning("the head of %s cannot be taken apart: training with whole logits", type(model).__name__)

    def forward(
        self,
        batch: MicroBatch,
        objective: Objective,
        token_weight_N: Tensor | None = None,
        factor: float = 1.0,
    ) -> Scores:
        """Scores of the batch's N trained tokens; `factor` multiplies the loss alone."""
        if self.whole_logits:
            return self._score_whole(batch, objective, token_weight_N, factor)
        hidden_ND = _hidden(self.model, batch)
        head = head_of(self.model)
        assert head is not None
        trace_N = None
        if "trace_N" in objective.needs:
            trace_N = importance(log_probs(hidden_ND, batch.targets_N, head), batch.samples_N, batch.base_mean_S)
        base = self._base_of(batch) if objective.divergence else None
        return score_hidden(
            hidden_ND,
            batch.targets_N,
            head,
            objective,
            factor=factor,
            token_weight_N=token_weight_N,
            trace_N=trace_N,
            base=base,
        )

    def _score_whole(
        self, batch: MicroBatch, objective: Objective, token_weight_N: Tensor | None, factor: float
    ) -> Scores:
        if objective.divergence:
            raise InputError(
                f"objective {objective.name} needs a head that can be taken apart",
                field="train.objective",
                remedy="use another objective for this model",
            )
        columns_C, place_N = torch.unique(batch.columns_N, return_inverse=True)
        out = self.model(
            input_ids=batch.ids_BT, position_ids=batch.positions_BT, use_cache=False, logits_to_keep=columns_C
        )
        logits_NV = out.logits[batch.rows_N, place_N]
        trace_N = None
        if "trace_N" in objective.needs:
            logp_N = logits_NV.detach().float().log_softmax(1).gather(1, batch.targets_N[:, None]).squeeze(1)
            trace_N = importance(logp_N, batch.samples_N, batch.base_mean_S)
        return score_logits(
            logits_NV, batch.targets_N, objective, factor=factor, token_weight_N=token_weight_N, trace_N=trace_N
        )

    @torch.no_grad()
    def _base_of(self, batch: MicroBatch) -> Base:
        (base,) = self._base
        head = head_of(base)
        assert head is not None
        return Base(_hidden(base, batch), head)


@torch.no_grad()
def divergence_of(model: Any, other: Any, batch: MicroBatch) -> Tensor:
    """KL(model ‖ other) at each of the batch's trained tokens, (N,), in nats."""
    sides = []
    for one in (model, other):
        head = head_of(one)
        if head is None or not _fits(one):
            return _whole_divergence(model, other, batch)
        sides.append(Base(_hidden(one, batch), head._replace(weight_VD=head.weight_VD.detach())))
    ours, theirs = sides
    _, value_N = divergence(theirs.hidden_ND, theirs.head, ours, torch.ones_like(ours.hidden_ND[:, 0]).float())
    return value_N


def _whole_divergence(model: Any, other: Any, batch: MicroBatch) -> Tensor:
    columns_C, place_N = torch.unique(batch.columns_N, return_inverse=True)
    log_p, log_q = (
        one(input_ids=batch.ids_BT, position_ids=batch.positions_BT, use_cache=False, logits_to_keep=columns_C)
        .logits[batch.rows_N, place_N]
        .float()
        .log_softmax(1)
        for one in (model, other)
    )
    value_N: Tensor = (log_p.exp() * (log_p - log_q)).sum(1)
    return value_N


def head_of(model: Any) -> Head | None:
    """The model's output weight, bias, scale and softcap as its configuration says; None where it has no such head."""
    causal = _causal(model)
    module = causal.get_output_embeddings()
    weight_VD = None if module is None else _weight(module)
    if weight_VD is None or _decoder(causal) is None:
        return None
    config = causal.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    return Head(weight_VD, getattr(module, "bias", None), scale, getattr(config, "final_logit_softcapping", None))


def _weight(module: Any) -> Tensor | None:
    """The effective weight of a linear layer, low-rank adapters included; None where there is no such matrix."""
    if not hasattr(module, "lora_A"):
        return module.weight if isinstance(module, nn.Linear) else None
    dropout = any(not isinstance(layer, nn.Identity) for layer in module.lora_dropout.values())
    if dropout or any(getattr(module, "use_dora", {}).values()):
        return None
    deltas = [module.get_delta_weight(name) for name in module.active_adapters]
    return torch.stack([module.base_layer.weight, *deltas]).sum(0)


def _hidden(model: Any, batch: MicroBatch) -> Tensor:
    """The hidden states that predict the batch's targets, (N, D)."""
    out = _decoder(_causal(model))(input_ids=batch.ids_BT, position_ids=batch.positions_BT, use_cache=False)
    hidden_ND: Tensor = out.last_hidden_state[batch.rows_N, batch.columns_N]
    return hidden_ND


def _causal(model: Any) -> Any:
    """The transformers model, inside peft's wrapper if there is one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _decoder(causal: Any) -> Any:
    inner = getattr(causal, getattr(causal, "base_model_prefix", "") or "", None)
    return inner if inner is not causal else None


def freeze_unread(model: Any) -> None:
    """Leave out of the training what no text passes through, such as a vision tower: it gets no gradient, and neither
    a resumed optimizer nor several processes can do with parameters that are trained and have none."""
    causal = _causal(model)
    if causal.config.get_text_config() is causal.config:
        return
    read = {id(one) for part in (causal.get_decoder(), causal.get_output_embeddings()) for one in part.parameters()}
    for one in causal.parameters():
        if id(one) not in read:
            one.requires_grad_(False)


@torch.no_grad()
def refuse_leaks(model: Any, samples: Sequence[Sample]) -> None:
    """Raises InputError when packed samples see each other: the model's code does not take positions that restart.

    Two samples (the shortest) give the same log p packed as alone, or packing trains on something else.
    """
    few = sorted(samples, key=lambda sample: len(sample.ids))[:2]
    if len(few) < 2:
        return
    training, f, scorer = model.training, objective("nll"), Scorer(model)
    model.eval()
    device = next(model.parameters()).device
    packed = scorer(to_device(pack(few), device), f).logp_N
    alone = torch.cat([scorer(to_device(pack([one]), device), f).logp_N for one in few])
    model.train(training)
    if not torch.allclose(packed, alone, rtol=LEAK, atol=LEAK, equal_nan=True):
        worst = float((packed - alone).abs().max())
        raise InputError(
            f"packed samples see each other in {type(_causal(model)).__name__}: log p changes by up to {worst:.1g}",
            field="train.packing",
            remedy="leave packing out for this model",
        )


@torch.no_grad()
def _fits(model: Any) -> bool:
    """Whether decoder and head give the logits that the model gives."""
    head = head_of(model)
    if head is None:
        return False
    training = model.training
    model.eval()
    device = head.weight_VD.device
    ids_BT = torch.arange(8, device=device)[None] % len(head.weight_VD)
    try:
        hidden_ND = _decoder(_causal(model))(input_ids=ids_BT, use_cache=False).last_hidden_state[0]
        theirs = model(input_ids=ids_BT, use_cache=False).logits[0].float()
        ours = torch.nn.functional.linear(hidden_ND, head.weight_VD, head.bias_V).float() * head.scale
        if head.softcap is not None:
            ours = head.softcap * torch.tanh(ours / head.softcap)
        near = 1e-3 if head.weight_VD.dtype == torch.float32 else 3e-2
        # what is no number is so in both: that is the weights' fault, which the training reports
        return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=near, atol=near, equal_nan=True)
    except (AttributeError, TypeError, RuntimeError):
        return False
    finally:
        model.train(training)
