"""Tiny models and a tokenizer, made on the spot."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SPECIAL = ["<pad>", "<eos>", "<eot>", "<user>", "<assistant>", "<think>", "</think>"]
WORDS = [*SPECIAL, *(f"w{i}" for i in range(50)), "\n", "stop"]
CONTEXT = 128
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tiny_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """One token per word; words are joined again without blanks."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")
    fast.add_special_tokens({"additional_special_tokens": SPECIAL[2:]})
    fast.chat_template = template
    return fast


_SHAPE = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": [1, 2],
}


def random_llama(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**_SHAPE)).eval()


def random_models() -> dict[str, PreTrainedModel]:
    """One random model per architecture, with a sliding window where the architecture has one."""
    torch.manual_seed(0)
    window = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    made = {
        "llama": LlamaForCausalLM(LlamaConfig(**_SHAPE)),
        "qwen2": Qwen2ForCausalLM(Qwen2Config(**_SHAPE, use_sliding_window=True, **window)),
        "qwen3": Qwen3ForCausalLM(Qwen3Config(**_SHAPE)),
        "gemma3": Gemma3ForCausalLM(Gemma3TextConfig(**_SHAPE, **window)),
    }
    return {name: model.eval() for name, model in made.items()}
