"""A tiny model and encoded lab traces for the training tests."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from titer.lab import make_lab
from titer.lab.words import make_tokenizer
from titer.objectives import Objective
from titer.recipe import LabData
from titer.train import Sample, encode
from titer.train.scorer import Scorer
from titer.train.tokens.batches import micro_batches

TOKENIZER = make_tokenizer()


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(TOKENIZER),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            pad_token_id=0,
            eos_token_id=3,
            bos_token_id=None,
        )
    )


@cache
def lab_samples(count: int) -> list[Sample]:
    """Samples of very different lengths: short and long problems, both teachers."""
    made = make_lab(LabData(problems={"countdown3": count, "countdown4": count}, suites={}), seed=1)
    samples = [encode(trace, TOKENIZER) for trace in made.traces[:: len(made.traces) // count]][:count]
    return [sample._replace(base_mean=-1.0 - i / count) for i, sample in enumerate(samples)]


def gradients(
    model: LlamaForCausalLM, samples: list[Sample], f: Objective, *, tokens: int, packing: bool
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradient of one update, normalised as the loop does it."""
    total = sum(sample.trained for sample in samples)
    loss, scorer = 0.0, Scorer(model)
    for micro in micro_batches(samples, tokens=tokens, packing=packing):
        part = scorer(micro, f).loss / total
        part.backward()
        loss += float(part.detach())
    return loss, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
