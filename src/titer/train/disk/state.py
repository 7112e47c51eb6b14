"""What a training leaves on disk: checkpoints, the state to resume from, the log.

The state is a distributed checkpoint of PyTorch's: sharded where the model is, and readable by any number of processes,
sharded or not.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from titer.errors import MALFORMED, InputError, reading
from titer.store import TRAINING_AGAIN, publish, read_lines, write_json, write_text
from titer.train.disk.safely import SafePlanner, refuse_foreign
from titer.train.length.endpoint import Stop
from titer.train.zero import is_zero, load_engine, save_engine

# it says at every save and load of one process that there is only one
logging.getLogger("torch.distributed.checkpoint").setLevel(logging.ERROR)


class Log:
    """JSON lines, one a step. A resumed run first forgets the steps that it is going to repeat."""

    def __init__(self, path: Path, *, keep_to: int, writes: bool) -> None:
        """Keeps the rows of steps up to `keep_to`: those that the state to resume from has already behind it."""
        self.path = path
        self.writes = writes
        if not writes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = read_log(path) if path.exists() else []
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= keep_to))

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row."""
        if self.writes:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a last line torn by a crash is left out. Raises InputError for other rows than a log's."""
    rows = read_lines(path, remedy=TRAINING_AGAIN)
    with reading(path, remedy=TRAINING_AGAIN):
        _ = [row["step"] + 0 for row in rows]
    return rows


def save_checkpoint(accelerator: Accelerator, scorer: Any, tokenizer: Any, path: Path) -> None:
    """Write model and tokenizer in Hugging Face format, whole or not at all; adapters as peft writes them."""
    accelerator.wait_for_everyone()
    weights = accelerator.get_state_dict(scorer) or {}  # where they are sharded, the main process alone has them
    state = {name.removeprefix("model."): weight for name, weight in weights.items()}
    if not accelerator.is_main_process:
        return
    work = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    accelerator.unwrap_model(scorer).model.save_pretrained(work, state_dict=state, safe_serialization=True)
    tokenizer.save_pretrained(work)
    publish(work, path)


def read_stop(out: Path) -> Stop | None:
    """The stop that an earlier process came to."""
    file = out / "endpoint.json"
    if not file.exists():
        return None
    with reading(file, remedy=TRAINING_AGAIN):
        stop = Stop(**json.loads(file.read_text(encoding="utf-8")))
        return stop._replace(fired=int(stop.fired), end=int(stop.end))


def write_stop(accelerator: Accelerator, out: Path, stop: Stop | None) -> None:
    """Keep a stop for whoever goes on here."""
    if stop and accelerator.is_main_process:
        write_json(out / "endpoint.json", stop._asdict())


def read_probes(out: Path, *, before: int) -> list[tuple[int, float]]:
    """Update and token accuracy of the probes that the state to resume from has behind it."""
    file = out / "probe.jsonl"
    rows = read_log(file) if file.exists() else []
    with reading(file, remedy=TRAINING_AGAIN):
        return [(row["step"], float(row["token_accuracy"])) for row in rows if row["step"] < before]


def save_state(accelerator: Accelerator, scorer: Any, optimizers: Sequence[Any], out: Path, step: int) -> None:
    """Weights, optimizers and random states before update `step`, whole or not at all."""
    work = out / ".state.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    accelerator.wait_for_everyone()
    if is_zero(accelerator):
        save_engine(scorer, work)
    else:
        model, optimizer = get_state_dict(scorer, _plain(optimizers))
        _quietly(save, {"model": model, "optimizer": optimizer}, work)
    torch.save(_random_state(), work / f"random-{accelerator.process_index}.pt")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_json(work / "step.json", {"step": step, "processes": accelerator.num_processes})
        publish(work, out / "state")
    accelerator.wait_for_everyone()


def load_state(accelerator: Accelerator, scorer: Any, optimizers: Sequence[Any], out: Path, seed: int) -> int:
    """Load the saved state and return the update to go on with; 0 when there is none.

    Another number of processes may go on than has saved it; those that have no random state there get one from the seed
    and the update. Raises InputError for a state that cannot be read.
    """
    folder = out / "state"
    if accelerator.is_main_process:
        _recover(out)
    accelerator.wait_for_everyone()
    if not (folder / "step.json").exists():
        return 0
    try:
        known = json.loads((folder / "step.json").read_text(encoding="utf-8"))
        if is_zero(accelerator):
            load_engine(scorer, folder, saved_by=int(known["processes"]), processes=accelerator.num_processes)
        else:
            model, optimizer = get_state_dict(scorer, plain := _plain(optimizers))
            state: dict[str, Any] = {"model": model, "optimizer": optimizer}
            refuse_foreign(folder)
            _quietly(load, state, folder, planner=SafePlanner())
            set_state_dict(scorer, plain, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
        mine = folder / f"random-{accelerator.process_index}.pt"
        if mine.exists() and known.get("processes") == accelerator.num_processes:
            _set_random_state(torch.load(mine, weights_only=True))
        else:
            torch.manual_seed(seed + 1_000_003 * (int(known["step"]) + 1) + accelerator.process_index)
        return int(known["step"])
    except (*MALFORMED, OSError, EOFError, RuntimeError, AssertionError, ImportError, UnpicklingError) as error:
        raise InputError(
            f"the state cannot be read: {' '.join(str(error).split())[:200]}",
            file=folder,
            remedy="remove it to begin anew, or go on with the versions and settings that wrote it",
        ) from error


def _recover(out: Path) -> None:
    """Finish what a kill between the two renames of `publish` left: no state, a whole new one and the old one."""
    for left in (out / ".state.tmp", out / ".state.old"):
        if not (out / "state").exists() and (left / "step.json").exists():
            left.rename(out / "state")


def _plain(optimizers: Sequence[Any]) -> list[Any]:
    """The optimizers inside accelerate's."""
    return [getattr(one, "optimizer", one) for one in optimizers]


def _quietly(what: Any, state: Mapping[str, Any], folder: Path, **how: Any) -> None:
    """Save or load; with one process and no group it warns that it assumes so. What a process met with, a full disk
    say, is raised as it was there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            what(state, checkpoint_id=str(folder), **how)
        except CheckpointException as error:
            raise next(iter(error.failures.values()))[0] from error


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


def due(accelerator: Accelerator, saved_at: float, seconds: float) -> bool:
    """Whether it is time to save; the main process decides for all, since clocks differ."""
    decision = [time.monotonic() - saved_at >= seconds]
    if accelerator.num_processes > 1:
        broadcast_object_list(decision)
    return decision[0]
