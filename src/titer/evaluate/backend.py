"""lm-evaluation-harness run on a checkpoint, in a process of its own.

run_harness("sft/checkpoints/step-000100", ["gsm8k", "ifeval"], out=Path("after"), templated=True)
read_harness(Path("after"))
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from titer.errors import InputError

EXTRA: Final = "pip install 'titer[harness]'"
LAST_LINES: Final = 3  # of what it printed, in an error


def require_harness() -> None:
    """Raise InputError when the harness is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError("lm-evaluation-harness is not installed", field="harness", remedy=EXTRA)


def run_harness(
    model: str,
    tasks: Sequence[str],
    *,
    out: Path,
    templated: bool,
    limit: int | None = None,
    include: Path | None = None,
    seed: int = 0,
) -> None:
    """Evaluate a folder of whole weights, or a hub id, on tasks of the harness, its samples logged, results into `out`.

    `templated` asks it through its chat template. `limit` bounds the problems of each task, `include` names a folder of
    task files. Data sets come from where the harness takes them, the hub for most. Raises InputError when the harness
    is not installed and when it fails.
    """
    require_harness()
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model}"),
        *("--tasks", ",".join(tasks), "--output_path", str(out), "--log_samples", "--seed", str(seed)),
        *(("--apply_chat_template",) if templated else ()),
        *(("--limit", str(limit)) if limit else ()),
        *(("--include_path", str(include)) if include else ()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, and no shell
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()][-LAST_LINES:]
        raise InputError(f"lm-eval failed: {' / '.join(said)}", field="harness", remedy="look at its own help")
