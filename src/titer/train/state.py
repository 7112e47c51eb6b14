"""What a training leaves on disk: checkpoints, the state to resume from, the log."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from titer.store import publish, write_json, write_text
from titer.train.endpoint import Stop

# accelerate warns about tied weights at every save; it restores them when it loads
logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)


class Log:
    """JSON lines, one a step. A resumed run first forgets the steps that it is going to repeat."""

    def __init__(self, path: Path, *, keep_before: int, writes: bool) -> None:
        """Keeps the rows of steps that the state to resume from has already behind it."""
        self.path = path
        self.writes = writes
        if not writes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = read_log(path) if path.exists() else []
        last = keep_before if path.stem == "log" else keep_before - 1
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= last))

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row."""
        if self.writes:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a last line torn by a crash is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def save_checkpoint(accelerator: Accelerator, scorer: Any, tokenizer: Any, path: Path) -> None:
    """Write model and tokenizer in Hugging Face format, whole or not at all; adapters as peft writes them."""
    accelerator.wait_for_everyone()
    state = {name.removeprefix("model."): weight for name, weight in accelerator.get_state_dict(scorer).items()}
    if not accelerator.is_main_process:
        return
    work = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    accelerator.unwrap_model(scorer).model.save_pretrained(work, state_dict=state, safe_serialization=True)
    tokenizer.save_pretrained(work)
    publish(work, path)


def checkpoint_path(out: Path, step: int) -> Path:
    """Where the checkpoint after `step` updates stands."""
    return out / "checkpoints" / f"step-{step:06d}"


def kept_checkpoints(out: Path) -> dict[int, Path]:
    """The checkpoints of a training, by update."""
    return {int(path.name.removeprefix("step-")): path for path in sorted((out / "checkpoints").glob("step-*"))}


def read_stop(out: Path) -> Stop | None:
    """The stop that an earlier process came to."""
    file = out / "endpoint.json"
    return Stop(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def write_stop(accelerator: Accelerator, out: Path, stop: Stop | None) -> None:
    """Keep a stop for whoever goes on here."""
    if stop and accelerator.is_main_process:
        write_json(out / "endpoint.json", stop._asdict())


def read_probes(out: Path, *, before: int) -> list[tuple[int, float]]:
    """Update and token accuracy of the probes that the state to resume from has behind it."""
    file = out / "probe.jsonl"
    rows = read_log(file) if file.exists() else []
    return [(row["step"], row["token_accuracy"]) for row in rows if row["step"] < before]


def save_state(accelerator: Accelerator, out: Path, step: int) -> None:
    """Weights, optimizer and random states before update `step`, whole or not at all."""
    work = out / ".state.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(work, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(work))
    accelerator.wait_for_everyone()  # each process writes its own random state
    if accelerator.is_main_process:
        write_json(work / "step.json", {"step": step})
        publish(work, out / "state")
    accelerator.wait_for_everyone()


def load_state(accelerator: Accelerator, out: Path) -> int:
    """Load the saved state and return the update to go on with; 0 when there is none."""
    marker = out / "state" / "step.json"
    if not marker.exists():
        return 0
    accelerator.load_state(str(out / "state"))
    return int(json.loads(marker.read_text(encoding="utf-8"))["step"])


def due(accelerator: Accelerator, saved_at: float, seconds: float) -> bool:
    """Whether it is time to save; the main process decides for all, since clocks differ."""
    decision = [time.monotonic() - saved_at >= seconds]
    if accelerator.num_processes > 1:
        broadcast_object_list(decision)
    return decision[0]
