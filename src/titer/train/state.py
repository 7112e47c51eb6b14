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

from titer.errors import InputError
from titer.recipe import Train
from titer.store import publish, write_json, write_text

# accelerate warns about tied weights at every save; it restores them when it loads
logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)

# settings that change speed, memory or reporting, never the weights
HARMLESS = {"micro_tokens", "save_seconds", "tracker", "gradient_checkpointing"}


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


def save_checkpoint(accelerator: Accelerator, model: Any, tokenizer: Any, path: Path) -> None:
    """Write model and tokenizer in Hugging Face format, whole or not at all; adapters as peft writes them."""
    accelerator.wait_for_everyone()
    state = accelerator.get_state_dict(model)
    if not accelerator.is_main_process:
        return
    work = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    accelerator.unwrap_model(model).save_pretrained(work, state_dict=state, safe_serialization=True)
    tokenizer.save_pretrained(work)
    publish(work, path)


def save_state(accelerator: Accelerator, out: Path, step: int, settings: Train) -> None:
    """Weights, optimizer and random states before update `step`, whole or not at all."""
    work = out / ".state.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(work, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(work))
    if accelerator.is_main_process:
        write_json(work / "step.json", {"step": step, "settings": _fixed(settings)})
        publish(work, out / "state")
    accelerator.wait_for_everyone()


def load_state(accelerator: Accelerator, out: Path, settings: Train) -> int:
    """Load the saved state and return the update to go on with; 0 when there is none.

    Raises InputError when the state was made with settings that lead to other weights.
    """
    marker = out / "state" / "step.json"
    if not marker.exists():
        return 0
    saved = json.loads(marker.read_text(encoding="utf-8"))
    changed = [key for key, value in _fixed(settings).items() if saved["settings"].get(key) != value]
    if changed:
        raise InputError(
            f"a training with other settings stands here ({', '.join(changed)} differ)",
            file=out,
            remedy="give another output folder, or remove this one",
        )
    accelerator.load_state(str(out / "state"))
    return int(saved["step"])


def due(accelerator: Accelerator, saved_at: float, seconds: float) -> bool:
    """Whether it is time to save; the main process decides for all, since clocks differ."""
    decision = [time.monotonic() - saved_at >= seconds]
    if accelerator.num_processes > 1:
        broadcast_object_list(decision)
    return decision[0]


def _fixed(settings: Train) -> dict[str, Any]:
    return {key: value for key, value in settings.model_dump(mode="json").items() if key not in HARMLESS}
