"""The training itself inside a run: traces are encoded, the model is trained on them, and how long is written down.

train_model(recipe, traces, unseen, work, progress=False)    # checkpoints/, log.jsonl, probe.jsonl, decisions.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from titer.errors import InputError
from titer.models import add_lora, context_length, load_model
from titer.pipeline.decisions import write_decisions
from titer.pipeline.training.launching import launch
from titer.processes import is_main
from titer.recipe import Recipe
from titer.records import Decision, Trace
from titer.store import write_json
from titer.traces import BEHAVIOURS
from titer.traces.steps import step_kinds

if TYPE_CHECKING:
    from titer.train import Sample


def train_model(
    recipe: Recipe, traces: Sequence[Trace], unseen: Sequence[Trace], work: Path, *, progress: bool
) -> None:
    """Fine-tune the base model on the traces, and follow its loss on the unseen ones; in the processes that
    `train.launch` starts, where it names a launcher."""
    if recipe.train.launch:
        return launch(recipe, traces, unseen, work)
    from titer.train import encode_all, train

    loaded = load_model(recipe.model)
    dropped: list[InputError] = []
    longest = context_length(recipe.train.max_length, loaded.model)
    samples = encode_all(
        traces,
        loaded.tokenizer,
        max_length=longest,
        too_long=recipe.train.too_long,
        dropped=dropped,
        label=step_kinds,
    )
    left = encode_all(unseen, loaded.tokenizer, max_length=longest, too_long="drop", dropped=[]) if unseen else []
    model = add_lora(loaded.model, recipe.train.lora, seed=recipe.seed) if recipe.train.lora else loaded.model
    result = train(
        model,
        loaded.tokenizer,
        samples,
        recipe.train,
        out=work,
        seed=recipe.seed,
        progress=progress,
        kinds=BEHAVIOURS,
        unseen=left,
    )
    if is_main():
        write_json(work / "too_long.json", [str(error) for error in dropped])
        write_decisions(work, [_decision(recipe, samples, result.updates, len(dropped), work)])
    return None


def _decision(recipe: Recipe, samples: Sequence[Sample], updates: int, dropped: int, work: Path) -> Decision:
    """How long the training was, with what, and what stopped it."""
    from titer.train import ENDPOINT_RULE, read_stop

    stop = read_stop(work)
    evidence = {
        "traces": len(samples),
        "epochs": round(updates * recipe.train.batch_size / len(samples), 2),
        "trained tokens of one epoch": sum(sample.trained for sample in samples),
        "dropped as too long": dropped,
    }
    if stop:
        evidence |= {
            "the endpoint's update": stop.fired,
            "token accuracy there": round(stop.token_accuracy, 4),
            "its rise an epoch": round(stop.slope * len(samples) / recipe.train.batch_size, 5),
        }
    length = "1 update" if updates == 1 else f"{updates} updates"
    return Decision(
        stage="train",
        question="How long, and with which objective?",
        choice=f"{length} of {recipe.train.batch_size} traces, objective {recipe.train.objective}",
        rule=ENDPOINT_RULE if stop else "as the recipe says",
        evidence=evidence,
        setting="train",
    )
