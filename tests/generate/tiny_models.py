"""Tiny models and a tokenizer, made on the spot."""

from __future__ import annotations

from itertools import pairwise, product

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
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
WORDS = [*SPECIAL, *(f"w{i}" for i in range(55)), "\n", "stop"]  # 64, which attention heads divide
CONTEXT = 128
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %} <assistant>{% endif %}"
)


def tiny_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """One token per word, words joined by blanks: a text's words are its tokens."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")
    fast.add_special_tokens({"additional_special_tokens": ["<eot>", "<user>", "<assistant>"]})
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
    "tie_word_embeddings": False,  # tied, a random model repeats its last token
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": [1, 2],
}


# MLA: what a layer keeps is neither heads × head size nor the same for keys and values
_LATENT = {"num_key_value_heads": 4, "kv_lora_rank": 8, "q_lora_rank": None, "first_k_dense_replace": 3,
           "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}  # fmt: skip
# heads of two sizes, and upper layers that read what lower ones keep
_SHARED = {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 8,
           "global_head_dim": 16, "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 8,
           "vocab_size_per_layer_input": len(WORDS)}  # fmt: skip


def random_models() -> dict[str, PreTrainedModel]:
    """One random model per architecture, with a sliding window of 8 where the architecture has one."""
    torch.manual_seed(0)
    window = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    made = {
        "llama": LlamaForCausalLM(LlamaConfig(**_SHAPE)),
        "qwen2": Qwen2ForCausalLM(Qwen2Config(**_SHAPE, use_sliding_window=True, **window)),
        "qwen3": Qwen3ForCausalLM(Qwen3Config(**_SHAPE)),
        "gemma3": Gemma3ForCausalLM(Gemma3TextConfig(**_SHAPE, **window)),
        # no positions to run out of, and their distance in the attention
        "bloom": BloomForCausalLM(
            BloomConfig(
                vocab_size=len(WORDS),
                hidden_size=32,
                n_layer=3,
                n_head=4,
                initializer_range=0.3,
                eos_token_id=[1, 2],
            )
        ),
        "deepseek2": DeepseekV2ForCausalLM(DeepseekV2Config(**{**_SHAPE, **_LATENT})),
    }
    if hasattr(transformers, "Gemma4ForCausalLM"):  # earlier versions have none
        config = transformers.Gemma4TextConfig(**{**_SHAPE, **_SHARED})
        made["gemma4"] = transformers.Gemma4ForCausalLM(config)
    return {name: model.eval() for name, model in made.items()}


def chain_model(*steps: str | tuple[str, ...]) -> PreTrainedModel:
    """A Llama that writes these words in turn, whatever came earlier; of several in one step, each as often."""
    size = len(WORDS)
    # Heads of 32: vLLM has no smaller ones.
    config = LlamaConfig(**{**_SHAPE, "hidden_size": size, "num_hidden_layers": 1, "head_dim": 32, "rms_norm_eps": 0.0})
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter.zero_()  # the residual stream carries the last token alone
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.zero_()
        choices = [(step,) if isinstance(step, str) else step for step in ("<assistant>", *steps)]
        for before, after in pairwise(choices):
            for word, successor in product(before, after):
                model.lm_head.weight[WORDS.index(successor), WORDS.index(word)] = 2.0
    return model


def token_ids(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split(" ")]
