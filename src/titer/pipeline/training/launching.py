"""A training in processes of its own, as `train.launch` starts them.

launch(recipe, traces, unseen, work)        # work/ then holds what a training in this process would have left

What it needs goes in as files (`work/launch/`), which each of the processes reads; the run waits for them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.recipe import Recipe, dump_recipe, load_recipe
from titer.recipe.schema import OURS
from titer.records import Trace, read_traces, write_records
from titer.store import write_text

FOLDER = "launch"
MODULE = ("-m", "titer.cli.main", "launched")


class Launched(NamedTuple):
    """What one of the processes trains on."""

    recipe: Recipe
    traces: list[Trace]
    unseen: list[Trace]


def launch(recipe: Recipe, traces: Sequence[Trace], unseen: Sequence[Trace], work: Path) -> None:
    """Start the processes and wait for them. Raises InputError where they cannot be started or do not end well."""
    command = [*command_of(recipe.train.launch), *MODULE, str(work)]
    folder = work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_records(folder / "traces.parquet", traces)
    if unseen:
        write_records(folder / "unseen.parquet", unseen)
    train = recipe.train.model_copy(update={"launch": ""})
    write_text(folder / "recipe.yaml", dump_recipe(recipe.model_copy(update={"train": train})))
    # the launchers stand beside this interpreter, whether or not its environment is on the path
    beside = Path(sys.executable).with_name(command[0])
    command[0] = str(beside) if beside.exists() else command[0]
    try:
        done = subprocess.run(command, check=False)  # noqa: S603 - the recipe's words, of two launchers alone
    except FileNotFoundError:
        raise InputError(f"{command[0]} is not there", field="train.launch", remedy="install it") from None
    if done.returncode:
        raise InputError(
            f"the launched training ended with status {done.returncode}",
            field="train.launch",
            remedy="see what it said; the same command goes on",
        )
    shutil.rmtree(folder)


def given(work: Path) -> Launched:
    """What `launch` has left for its processes."""
    folder = work / FOLDER
    unseen = folder / "unseen.parquet"
    return Launched(
        load_recipe(str(folder / "recipe.yaml")),
        list(read_traces(folder / "traces.parquet")),
        list(read_traces(unseen)) if unseen.exists() else [],
    )


def command_of(launcher: str) -> list[str]:
    """The command up to and without the script. Raises InputError for one of OURS on a machine without devices."""
    words = launcher.split()
    if launcher not in OURS:
        return words
    import torch

    if not torch.accelerator.is_available():
        raise InputError(
            f"{launcher} starts a process for each device, and there is none",
            field="train.launch",
            remedy="leave it out, or say torchrun --nproc_per_node N",
        )
    return [
        *("accelerate", "launch", "--config_file", str(configuration(launcher))),
        *("--num_processes", str(torch.accelerator.device_count())),
    ]


def configuration(name: str) -> Path:
    """accelerate's configuration of that name which comes with titer."""
    return Path(str(resources.files("titer.train"))) / "launch" / f"{name}.yaml"
