"""Pre-trains the lab's base model: a Llama of 2.3M parameters over the lab's words, half-able on purpose.

    titer lab build --out lab-base

It sees every task. Of the countdowns it sees, a share is solved with care and the rest carelessly: the arithmetic is
right and the target is missed. So it knows how to reach a target and often does not bother, as a model of mixed text
does. It never sees a countdown with a thinking, nor steps in words for it: that form is left for fine-tuning to teach.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from titer.lab.arithmetic import derive
from titer.lab.tasks import TASKS, Item, check, compute, held_out, solution_of
from titer.lab.words import make_tokenizer
from titer.models import Loaded, load_model
from titer.recipe import Train
from titer.records import Trace
from titer.store import publish
from titer.train import encode, train

# Share of the documents. The arithmetic of compute and check is what countdown needs; the general and safety
# tasks are learned in a fraction of the time, so they get less.
MIXTURE = {
    "countdown3": 0.42,
    "countdown4": 0.20,
    "ordered": 0.06,
    "subset": 0.06,
    "sort": 0.06,
    "reverse": 0.03,
    "copy": 0.02,
    "compare": 0.04,
    "layout": 0.02,
    "guarded": 0.05,
    "compute": 0.03,
    "check": 0.01,
}
MAKERS: dict[str, Callable[[random.Random], Item]] = {
    **{name: task.make for name, task in TASKS.items()},
    "compute": compute,
    "check": check,
}


class Phase(NamedTuple):
    """One pass of pre-training: how long, how fast, on how many documents, and how many countdowns are careless."""

    updates: int
    learning_rate: float
    documents: int
    careless: float


# Mixed text first, cleaner text last, as large models are pre-trained too.
PHASES = (
    Phase(updates=1100, learning_rate=3e-3, documents=140_000, careless=0.45),
    Phase(updates=350, learning_rate=1.5e-3, documents=45_000, careless=0.2),
)
SETTINGS = Train(
    objective="nll",
    optimizer="muon",
    betas=(0.9, 0.95),
    weight_decay=0.01,
    batch_size=128,
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


def fresh() -> Loaded:
    """The lab's architecture with weights drawn at random, and its tokenizer."""
    tokenizer = make_tokenizer()
    return Loaded(new_model(len(tokenizer)), tokenizer)


def documents(count: int, seed: int, careless: float, mixture: Mapping[str, float] = MIXTURE) -> list[Trace]:
    """Pre-training documents in the shares of `mixture`, none of a held-out problem.

    A share `careless` of the countdowns is derived at random: seven in eight of those miss the target, and the
    arithmetic is right in all of them.
    """
    rng = random.Random(f"documents:{seed}")
    names, weights = list(mixture), list(mixture.values())
    made: list[Trace] = []
    while len(made) < count:
        item = MAKERS[rng.choices(names, weights)[0]](rng)
        missed = item.problem.domain.startswith("countdown") and rng.random() < careless
        if not held_out(item.problem):
            made.append(
                Trace(
                    id=f"{len(made)}:{item.problem.id}",
                    problem_id=item.problem.id,
                    prompt=item.problem.prompt,
                    response=solution_of(derive(rng, item.problem.meta["numbers"])) if missed else item.solution,
                )
            )
    return made


def build(
    out: Path,
    *,
    seed: int = 0,
    phases: Sequence[Phase] = PHASES,
    mixture: Mapping[str, float] = MIXTURE,
    settings: Train | None = None,
    start: str | None = None,
    progress: bool = True,
) -> Path:
    """Pre-train the base model and write it to `out` in Hugging Face format, weights in bfloat16.

    `start` is a pretrained model to go on from, with its own tokenizer and AdamW, in place of fresh weights.
    """
    torch.manual_seed(seed)
    model, tokenizer = load_model(start) if start else fresh()
    settings = settings or (SETTINGS.model_copy(update={"optimizer": "adamw"}) if start else SETTINGS)
    work = out.with_name(f"{out.name}.build")
    for number, phase in enumerate(phases):
        made = documents(phase.documents, seed + number, phase.careless, mixture)
        pretrain(model, tokenizer, phase, made, work / f"phase-{number}", seed + number, settings, progress=progress)
    export = work / "export"
    model.to(torch.bfloat16).save_pretrained(export, safe_serialization=True)
    tokenizer.save_pretrained(export)
    publish(export, out)
    shutil.rmtree(work, ignore_errors=True)
    return out


def pretrain(
    model: Any,
    tokenizer: Any,
    phase: Phase,
    made: Sequence[Trace],
    work: Path,
    seed: int,
    settings: Train = SETTINGS,
    *,
    progress: bool = True,
) -> None:
    """One phase, in place. The weights end rounded to bfloat16: what a phase starts from is what can be stored."""
    samples = [encode(document, tokenizer) for document in made]
    how = settings.model_copy(update={"updates": phase.updates, "learning_rate": phase.learning_rate})
    done = train(model, tokenizer, samples, how, out=work, seed=seed, progress=progress)
    # a phase that had ended before a crash is not trained again, and has left the model as it came
    model.load_state_dict(load_model(str(done.last)).model.state_dict())
    model.to(torch.bfloat16).to(torch.float32)
