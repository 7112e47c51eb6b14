"""How long a recipe takes on this machine: a probe of a minute, and what that makes of each stage.

pace = probe(recipe, inputs)                 # tokens a second of training and of sampling, tokens of a rollout
for stage in expected(recipe, inputs, pace): print(stage.name, stage.seconds)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final, NamedTuple

from titer.errors import InputError
from titer.pipeline.data import Inputs
from titer.pipeline.evaluation.evaluating import settings_of
from titer.recipe import Recipe

SECONDS: Final = 25.0  # of each of the two probes, at most, once the model is there
ROWS: Final = 64  # rollouts that are sampled together


class Pace(NamedTuple):
    """Tokens a second, prompts included in training and not in sampling; mean tokens of a trace with its prompt and of
    a rollout."""

    trained: float
    sampled: float
    trace_tokens: float
    rollout_tokens: float


class StageTime(NamedTuple):
    """Seconds that a stage is expected to take, and what it does in them."""

    name: str
    seconds: float
    what: str


def probe(recipe: Recipe, inputs: Inputs) -> Pace:
    """Train and sample for less than a minute. Raises InputError without a trace that can be trained on."""
    from titer.models import load_model
    from titer.pipeline.sampling import generator_of

    loaded = load_model(recipe.model)
    trained, length = _trained(loaded, inputs, recipe)
    generator = generator_of(loaded, recipe.generate, name=recipe.model)
    sampled, tokens = _sampled(generator, inputs, recipe)
    return Pace(trained, sampled, length, tokens)


def expected(recipe: Recipe, inputs: Inputs, pace: Pace) -> list[StageTime]:
    """The stages that take long, each without starting up. Trials, the bridge and critique are not counted.

    A model's solve rates take about half of the rollouts that they may: sampling stops where a band is sure.
    """
    problems = recipe.measure.problems
    measured = min(problems, len(inputs.problems)) * recipe.measure.samples / 2 if problems else 0.0
    updates, batch = _updates(recipe, inputs, pace), recipe.train.batch_size
    asked = sum(len(suite.problems) * settings_of(recipe, suite.name).samples for suite in inputs.suites)
    rollout = pace.rollout_tokens / pace.sampled
    between = 0 if recipe.evaluate.checkpoints == "last" else _grid(updates) - 1
    budget = _budget(recipe, pace)
    less = min(asked, budget / pace.rollout_tokens) if budget else asked
    rounds = max(1, recipe.stages.rounds)
    times = "" if rounds == 1 else f"{rounds} × "
    trained = rounds * updates * batch * pace.trace_tokens / pace.trained
    return [
        StageTime("measure", rounds * measured * rollout, f"{times}{measured:,.0f} rollouts"),
        StageTime("train", trained, f"{times}{updates:,} updates of {batch}"),
        *_of_rounds(recipe, inputs, pace),
        StageTime("evaluate", (2 * asked + between * less) * rollout, _evaluated(asked, between, less)),
    ]


def _budget(recipe: Recipe, pace: Pace) -> float | None:
    """Tokens for a checkpoint between base and last; None where it is asked everything."""
    minutes = recipe.evaluate.minutes
    return 60 * minutes * pace.sampled if minutes else recipe.evaluate.tokens


def _evaluated(asked: int, between: int, less: float) -> str:
    if less < asked:
        return f"2 models, {asked:,} rollouts each, and {between} between them, about {less:,.0f} each"
    return f"{2 + between} models, {asked:,} rollouts each"


def _of_rounds(recipe: Recipe, inputs: Inputs, pace: Pace) -> list[StageTime]:
    """What only rounds do. RL's rollouts are taken to be as long as an evaluation's, and none to be drawn again."""
    rounds, rl = recipe.stages.rounds, recipe.rl
    if not rounds:
        return []
    held = min(recipe.stages.held, len(inputs.problems) // 4) * recipe.stages.samples
    rollout = pace.rollout_tokens / pace.sampled
    stages = [StageTime("judge", (rounds + 1) * held * rollout, f"{rounds + 1} models, {held:,} rollouts each")]
    if recipe.stages.rl:
        drawn = rl.prompts * rl.samples
        seconds = rounds * rl.updates * drawn * (rollout + pace.rollout_tokens / pace.trained)
        stages.insert(0, StageTime("rl", seconds, f"{rounds} × {rl.updates:,} updates of {drawn} rollouts"))
    return stages


def _updates(recipe: Recipe, inputs: Inputs, pace: Pace) -> int:
    train = recipe.train
    if train.updates:
        return train.updates
    if train.tokens:
        return max(1, round(train.tokens / (train.batch_size * pace.trace_tokens)))
    if train.hours:
        return max(1, round(3600 * train.hours * pace.trained / (train.batch_size * pace.trace_tokens)))
    return max(1, round(train.epochs * recipe.curate.keep * len(inputs.traces) / train.batch_size))


def _grid(updates: int) -> int:
    from titer.train.length.schedule import log_grid

    return len(log_grid(updates)) - 1


def _trained(loaded: Any, inputs: Inputs, recipe: Recipe) -> tuple[float, float]:
    """Tokens a second of forward and backward passes, and mean tokens of a trace."""
    import torch

    from titer.models import add_lora, context_length
    from titer.objectives import objective
    from titer.processes import this_process
    from titer.train import encode_each
    from titer.train.precision import in_bf16, recompute_activations
    from titer.train.scorer import Scorer
    from titer.train.tokens.batches import micro_batches, to_device

    train = recipe.train
    longest = context_length(train.max_length, loaded.model)
    samples = list(encode_each(inputs.traces[:256], loaded.tokenizer, max_length=longest, too_long="drop", dropped=[]))
    if not samples:
        raise InputError("no trace can be trained on", field="data", remedy="see titer sft --show")
    device = this_process().device
    student = add_lora(loaded.model, train.lora) if train.lora else loaded.model
    if train.gradient_checkpointing:
        recompute_activations(student)
    scorer = Scorer(student.to(device).train())
    micros = list(micro_batches(samples, tokens=train.micro_tokens, packing=train.packing))
    precision = torch.autocast(device.type, torch.bfloat16) if in_bf16(train) else nullcontext()
    done, began = 0, 0.0
    for number in range(1 + 10 * len(micros)):
        if number == 1:  # the first one warms up
            done, began = 0, time.monotonic()
        micro = micros[(number - 1) % len(micros)]
        with precision:
            loss = scorer(to_device(micro, device), objective("nll")).loss
        loss.backward()
        scorer.zero_grad()
        done += micro.ids_BT.numel()
        if began and time.monotonic() - began > SECONDS:
            break
    return done / (time.monotonic() - began), sum(len(sample.ids) for sample in samples) / len(samples)


def _sampled(generator: Any, inputs: Inputs, recipe: Recipe) -> tuple[float, float]:
    """Tokens a second, and mean tokens of a rollout: the longest there may be where none ends in time."""
    from titer.generate import Request
    from titer.pipeline.evaluation.evaluating import evaluation_sampling
    from titer.records import earlier_turns

    problems = [*(problem for suite in inputs.suites for problem in suite.problems), *inputs.problems][:ROWS]
    requests = [Request(f"{i}", problem.prompt, earlier=earlier_turns(problem)) for i, problem in enumerate(problems)]
    sampling = evaluation_sampling(recipe)
    began, lengths = time.monotonic(), list[int]()
    for completion in generator.stream(requests, sampling):
        lengths.append(completion.tokens)
        if time.monotonic() - began > SECONDS:
            break
    seconds = time.monotonic() - began
    # those that were still going had as many tokens as the last one to end
    going = (len(requests) - len(lengths)) * (lengths[-1] if lengths else 0)
    mean = _mean(lengths) if len(lengths) == len(requests) else float(sampling.max_tokens)
    return (sum(lengths) + going) / seconds, mean


def _mean(lengths: Sequence[int]) -> float:
    return sum(lengths) / max(1, len(lengths))
