"""What this machine can do with a recipe.

result = doctor(load_recipe("quickstart"), length=512, measure=True, probe=True)
result.memory.total, result.measured, result.stages
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from titer.doctor import Machine, Memory, Pace, StageTime, UnpredictableError, expected, inspect, measured_peak, predict
from titer.doctor import probe as probe_pace
from titer.errors import InputError
from titer.recipe import Recipe


class DoctorResult(NamedTuple):
    """The machine; the peak of memory that training takes on one device, predicted (None: it cannot be) and, where
    asked for, measured; the pace and the seconds of each stage, where asked for; and what is wrong, a line each."""

    machine: Machine
    memory: Memory | None
    measured: int | None
    pace: Pace | None
    stages: list[StageTime]
    faults: list[str]


def doctor(recipe: Recipe, *, length: int = 512, measure: bool = False, probe: bool = False) -> DoctorResult:
    """Look at the machine, and whether the recipe's training on samples of `length` tokens fits it.

    `measure` trains for two updates in a process of its own and says what that took; `probe` trains and samples for
    less than a minute on the recipe's data and says how long its stages take. Raises InputError for a model or data
    that cannot be read, and for a length of less than two tokens.
    """
    if length < 2:
        raise InputError(f"{length} tokens", field="--length", remedy="give at least 2")
    machine = inspect(Path("runs"))
    memory, unknown = _predicted(recipe, length)
    measured = measured_peak(recipe.model, recipe.train, length=length) if measure else None
    pace, stages = _paced(recipe) if probe else (None, [])
    faults = [unknown] if unknown and measured is None else []
    peak = memory.total if memory else measured
    faults += [*_full(machine, peak, memory.weights if memory else None), *_faults(recipe, machine)]
    return DoctorResult(machine, memory, measured, pace, stages, faults)


def _predicted(recipe: Recipe, length: int) -> tuple[Memory | None, str]:
    """The prediction, or why there is none."""
    try:
        return predict(recipe.model, recipe.train, length=length), ""
    except UnpredictableError as error:
        return None, str(error)


def _paced(recipe: Recipe) -> tuple[Pace, list[StageTime]]:
    from titer.pipeline.data import load_inputs, prepare

    with tempfile.TemporaryDirectory() as work:
        prepare(recipe, Path(work))
        inputs = load_inputs(Path(work))
    pace = probe_pace(recipe, inputs)
    return pace, expected(recipe, inputs, pace)


def _full(machine: Machine, peak: int | None, weights: int | None) -> list[str]:
    """That memory or disk is too small."""
    faults = []
    device = machine.devices[-1]
    if device.memory and peak and peak > device.memory:
        faults.append(
            f"training takes {peak / 1e9:.1f} GB, and {device.name} has {device.memory / 1e9:.1f}: lower "
            "train.micro_tokens, or set train.gradient_checkpointing, train.lora or train.launch=fsdp2"
        )
    if weights and 3 * weights > machine.disk:
        faults.append(
            f"{machine.disk / 1e9:.1f} GB are free on disk; a checkpoint takes {weights / 1e9:.1f}, and there "
            "are several"
        )
    return faults


def _faults(recipe: Recipe, machine: Machine) -> list[str]:
    """What stands in the recipe's way, beside memory and disk."""
    faults = []
    named = {"engine " + recipe.generate.engine, *(["RL"] if recipe.stages.rounds and recipe.stages.rl else [])}
    for name in sorted(named - {"engine vllm"} if recipe.generate.vllm_python else named):
        engine = machine.engines[name]
        if not engine.version:
            faults.append(f"{name} is not installed: {engine.remedy}")
    if recipe.stages.rounds and recipe.stages.rl:
        from titer.stages.rl.vllm import check_engine

        try:
            check_engine(recipe.rl)
        except InputError as error:
            faults.append(str(error))
    return faults
