"""The time of an update of RL beside a plain TRL GRPO script: same model, prompts, settings and rewards.

    python benchmarks/rl.py [--model lab] [--updates 12] [--repeats 5] [--json]

Each repetition trains three ways in turn, A B C A B C: TRL alone with transformers' generate, `titer.stages.rl` with
the same generation, and with titer's engine. Refills are off, since TRL has none, and the prompts and random numbers of
an update are the same. Ratios are of the median time of an
update (the first two are left out), titer's over TRL's, [lowest, median, highest] over the repetitions.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from titer.lab.tasks import items
from titer.models import load_model
from titer.recipe import Rl
from titer.records import Problem, split_thinking
from titer.stages.rl import grpo
from titer.stages.rl.groups import Queue
from titer.stages.rl.grpo import _config
from titer.train.disk.state import read_log
from titer.verify import Grader, gym_problems

WARM = 2  # updates that are not counted


def plain(model: str, problems: Sequence[Problem], settings: Rl, out: Path) -> list[float]:
    """TRL as its documentation has it: a dataset of prompts, a reward function, `train()`.

    Its prompts come in the order in which titer takes them: an update of other prompts has other lengths, and so costs
    other time.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOTrainer

    loaded = load_model(model)
    known = {problem.id: problem for problem in problems}
    taken = Queue(problems, seed=0).take(0, len(problems))
    rows = [{"prompt": [{"role": "user", "content": one.prompt}], "name": one.id} for one in taken]
    config = _config(settings, out, 0, progress=False)
    config.shuffle_dataset = False
    with Grader() as grader:

        def verified(completions: Any, name: list[str], **_: Any) -> list[float | None]:
            texts = [split_thinking(one[0]["content"]).response for one in completions]
            return [
                grade.score for grade in grader.grade([(known[i], text) for i, text in zip(name, texts, strict=True)])
            ]

        trainer = GRPOTrainer(
            model=loaded.model,
            reward_funcs=verified,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=loaded.tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return [row["step_time"] for row in trainer.state.log_history if "step_time" in row]


def same_luck() -> None:
    """Let TRL draw from the same random numbers in the same update, whoever calls it: with the same prompts and next to
    the same weights that gives the same rollouts, and times that differ in nothing but what is compared."""
    import torch
    from trl import GRPOTrainer

    plainly = GRPOTrainer._generate_single_turn

    def seeded(trainer: Any, *what: Any, **more: Any) -> Any:
        torch.manual_seed(trainer.state.global_step)
        return plainly(trainer, *what, **more)

    GRPOTrainer._generate_single_turn = seeded


def ours(generator: str) -> Callable[[str, Sequence[Problem], Rl, Path], list[float]]:
    """titer's RL with a generator."""

    def train(model: str, problems: Sequence[Problem], settings: Rl, out: Path) -> list[float]:
        how = settings.model_copy(update={"generator": generator})
        grpo(load_model(model), problems, how, out=out, seed=0, identity=model, reference=model)
        return [row["seconds"] for row in read_log(out / "log.jsonl")]

    return train


def problems_of(model: str, count: int) -> list[Problem]:
    """Problems that the model solves now and then."""
    if model == "lab":
        return [item.problem for item in items("countdown3", count, seed=0, held=False)]
    return gym_problems("chain_sum", count=count, seed=0, min_terms=2, max_terms=2, min_digits=1, max_digits=2)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="lab")
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    settings = Rl(
        updates=asked.updates, prompts=8, samples=8, micro_rows=32, max_tokens=48, refills=0, kl_every=0,
        learning_rate=1e-6, patience=asked.updates, save_every=10**6,
    )  # fmt: skip
    problems = problems_of(asked.model, 8 * asked.updates)
    same_luck()
    ways = {"TRL": plain, "titer, same generation": ours("transformers"), "titer, its engine": ours("engine")}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.repeats):
        for name, train in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds[name].append(statistics.median(train(asked.model, problems, settings, Path(folder))[WARM:]))
    ratios = {
        name: sorted(mine / theirs for mine, theirs in zip(some, seconds["TRL"], strict=True))
        for name, some in seconds.items()
        if name != "TRL"
    }
    found = {name: [some[0], statistics.median(some), some[-1]] for name, some in ratios.items()}
    if asked.json:
        print(json.dumps({name: [round(one, 3) for one in some] for name, some in found.items()}))
        return
    for name, (low, mid, high) in found.items():
        print(f"{name}: an update takes {mid:.2f} of TRL's time [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
