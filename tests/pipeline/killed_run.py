"""A run that is killed five times, each time in a process that is forked from one interpreter, so that it is imported
once, and gone on with in another.

python killed_run.py RECIPE OUT
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import titer.train  # noqa: F401 - what a run imports when it needs it is there before the first fork
from titer.models import load_model
from titer.pipeline.run import run
from titer.recipe import load_recipe
from titer.store import write_table


def fork(recipe: str, out: Path) -> int:
    """A process of its own with the run; its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        run(load_recipe(recipe), out=out)
        code = 0
    finally:
        sys.excepthook(*sys.exc_info()) if code else None  # type: ignore[arg-type]
        sys.stderr.flush()
        os._exit(code)


def wait_until(moment: Callable[[], bool], child: int) -> None:
    deadline = time.monotonic() + 180
    while not moment():
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before the moment came"
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.005)


def has_written(out: Path, stage: str, pattern: str, lines: int) -> bool:
    """Whether a stage's files hold that many rollouts by now."""
    files = (out / "work").glob(f"{stage}-*/{pattern}")
    return sum(len(file.read_bytes().splitlines()) for file in files) >= lines


def has_saved(out: Path, step: int) -> bool:
    """Whether training would go on from that update or a later one by now."""
    for file in (out / "work").glob("train-*/state/step.json"):
        with suppress(FileNotFoundError):  # the state is being replaced
            return int(json.loads(file.read_text())["step"]) >= step
    return False


def moments(out: Path) -> list[Callable[[], bool]]:
    """Five random moments of the run, each further on than the one before: in the sampling before training, in its
    first and its second and third epoch (of 3 updates each), and in the evaluation."""
    rng = random.Random(5)
    return [
        partial(has_written, out, "measure", "rollouts.jsonl", rng.randint(8, 16)),
        partial(has_saved, out, rng.randint(1, 3)),
        partial(has_saved, out, rng.randint(4, 5)),
        partial(has_saved, out, rng.randint(6, 7)),
        partial(has_written, out, "evaluate", "*/*.jsonl", rng.randint(8, 12)),
    ]


if __name__ == "__main__":
    recipe, out = sys.argv[1], Path(sys.argv[2])
    load_model("lab")  # reads the libraries that models need
    write_table(out.with_name("first.parquet"), [{"id": "first"}])  # and this those that tables need
    gc.freeze()  # what is there already is not for each run to look through
    for moment in moments(out):
        child = fork(recipe, out)
        wait_until(moment, child)
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert os.waitpid(fork(recipe, out), 0)[1] == 0
