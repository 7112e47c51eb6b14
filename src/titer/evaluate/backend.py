"""lm-evaluation-harness run on a checkpoint, in a process of its own.

run_harness("sft/checkpoints/step-000100", ["gsm8k", "ifeval"], out=Path("after"))    # then read_harness(Path("after"))
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from titer.errors import InputError, reading

EXTRA: Final = "pip install 'titer[harness]'"
LAST_LINES: Final = 3  # of what it printed, in an error


def run_harness(
    model: str, tasks: Sequence[str], *, out: Path, limit: int | None = None, include: Path | None = None, seed: int = 0
) -> None:
    """Evaluate a model folder or hub id on tasks of the harness, its samples logged, results into `out`.

    A model with a chat template is asked through it, as titer asks it. `limit` bounds the problems of each task,
    `include` names a folder of task files. Data sets come from where the harness takes them, the hub for most. Raises
    InputError when the harness is not installed and when it fails.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError("lm-evaluation-harness is not installed", field="harness", remedy=EXTRA)
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model}"),
        *("--tasks", ",".join(tasks), "--output_path", str(out), "--log_samples", "--seed", str(seed)),
        *(("--apply_chat_template",) if has_chat_template(model) else ()),
        *(("--limit", str(limit)) if limit else ()),
        *(("--include_path", str(include)) if include else ()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, and no shell
    if done.returncode:
        said = " / ".join(line for line in done.stderr.splitlines() if line.strip()).split(" / ")[-LAST_LINES:]
        raise InputError(f"lm-eval failed: {' / '.join(said)}", field="harness", remedy="look at its own help")


def has_chat_template(model: str) -> bool:
    """Whether the tokenizer of a model folder has a chat template; of a hub id nothing is asked: none."""
    folder = Path(model)
    if (folder / "chat_template.jinja").exists():
        return (folder / "chat_template.jinja").stat().st_size > 0
    file = folder / "tokenizer_config.json"
    if not file.exists():
        return False
    with reading(file, remedy="mend the model's folder", by="a tokenizer"):
        return bool(json.loads(file.read_text(encoding="utf-8")).get("chat_template"))
