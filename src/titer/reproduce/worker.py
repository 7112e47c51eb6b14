"""One job of a reproduction, in a process of its own.

python -m titer.reproduce.worker MODULE ARM SEED FOLDER SETTINGS     # the engine's own call; SETTINGS is JSON
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from titer.reproduce.bases import TAUGHT, teach
from titer.reproduce.experiment import Experiment, Measures
from titer.reproduce.tables import JobResult
from titer.store import versions, write_json


def main() -> None:
    """Run the job that the arguments name, and write its result.json last."""
    began = time.monotonic()
    threading.Thread(target=_end_with_the_engine, daemon=True).start()
    module, arm, seed, folder, settings = sys.argv[1:]
    experiment: Experiment = import_module(module).EXPERIMENT
    measures = run(experiment, arm, int(seed), json.loads(settings), Path(folder))
    seconds = round(time.monotonic() - began, 2)
    write_json(Path(folder) / "result.json", JobResult(arm, int(seed), measures, seconds, versions())._asdict())


def run(experiment: Experiment, name: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """An arm's job, or the making of what the arms share."""
    if name == TAUGHT:
        return teach(settings["model"], settings["teaching"], folder)
    if experiment.prepare and name in experiment.shared:
        return experiment.prepare(name, settings, folder)
    return experiment.job(name, seed, settings, folder)


def _end_with_the_engine() -> None:
    """A second worker in the same folder, which a restarted engine would start, must find this one gone."""
    os.read(sys.stdin.fileno(), 1)  # unbuffered: a thread inside a buffer's lock aborts the interpreter's end
    os._exit(1)


if __name__ == "__main__":
    main()
