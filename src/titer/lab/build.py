"""Pre-trains the lab's base model: a Llama of 2.3M parameters over the lab's words, half-able on purpose.

    titer lab build --out lab-base

It sees every task. A countdown it sees worked out in short, or answered outright: like a web-scale model, the base can
work an answer out and mostly does not. It never sees a countdown with a thinking, nor steps in words for it: that form
is left for fine-tuning to teach.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from titer.lab.tasks import TASKS, Item, check, compute, held_out
from titer.lab.words import make_tokenizer
from titer.recipe import Train
from titer.records import Trace
from titer.store import publish
from titer.train import encode, train

# Share of the documents. The arithmetic of compute and check is what countdown needs; the general and safety
# tasks are learned in a fraction of the time, so they get less.
MIXTURE = {
    "countdown3": 0.32,
    "countdown4": 0.18,
    "ordered": 0.07,
    "subset": 0.08,
    "sort": 0.07,
    "reverse": 0.04,
    "copy": 0.03,
    "compare": 0.05,
    "layout": 0.02,
    "guarded": 0.06,
    "compute": 0.06,
    "check": 0.02,
}
MAKERS: dict[str, Callable[[random.Random], Item]] = {
    **{name: task.make for name, task in TASKS.items()},
    "compute": compute,
    "check": check,
}
OUTRIGHT = 0.6  # share of the countdown documents that only give the answer
DOCUMENTS = 150_000
SETTINGS = Train(
    optimizer="muon",
    learning_rate=3e-3,
    betas=(0.9, 0.95),
    weight_decay=0.01,
    batch_size=128,
    updates=1300,
    micro_tokens=2048,
    warmup=0.05,
    probe_samples=200,
    save_seconds=120,
)


def new_model(vocabulary: int) -> LlamaForCausalLM:
    """The architecture, freshly initialised."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=5,
            num_attention_heads=6,
            num_key_value_heads=6,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=3,
        )
    )


def documents(count: int, seed: int) -> list[Trace]:
    """Pre-training documents in the shares of MIXTURE, none of a held-out problem."""
    rng = random.Random(f"documents:{seed}")
    names, weights = list(MIXTURE), list(MIXTURE.values())
    made: list[Trace] = []
    while len(made) < count:
        item = MAKERS[rng.choices(names, weights)[0]](rng)
        outright = item.problem.domain.startswith("countdown") and rng.random() < OUTRIGHT
        if not held_out(item.problem):
            made.append(
                Trace(
                    id=f"{len(made)}:{item.problem.id}",
                    problem_id=item.problem.id,
                    prompt=item.problem.prompt,
                    response=item.solution.splitlines()[-1] if outright else item.solution,
                )
            )
    return made


def build(
    out: Path, *, seed: int = 0, settings: Train = SETTINGS, count: int = DOCUMENTS, progress: bool = True
) -> Path:
    """Pre-train the base model and write it to `out` in Hugging Face format, weights in bfloat16."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = new_model(len(tokenizer))
    samples = [encode(document, tokenizer) for document in documents(count, seed)]
    work = out.with_name(f"{out.name}.build")
    result = train(model, tokenizer, samples, settings, out=work, seed=seed, progress=progress)
    _export(model, tokenizer, result.last)
    publish(result.last, out)
    shutil.rmtree(work, ignore_errors=True)
    return out


def _export(model: Any, tokenizer: Any, folder: Path) -> None:
    """Half the size, and the rounding is part of the model from here on."""
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
