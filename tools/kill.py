"""Kill a small full run (SFT, RL, critique, evaluation) at random moments, and compare it with one left alone.

    python tools/kill.py --kills 50 --seed 0 --out /tmp/kills

A run is started, killed with SIGKILL after a random time from its first line on, and started again, until it ends by
itself; then it is compared, and the next run begins, until there were as many kills as asked. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import trl  # noqa: F401 - what a run imports is imported before the first fork

from titer.pipeline.run import run
from titer.recipe import load_recipe
from titer.records import read_rollouts
from titer.store import read_manifest, read_table

SETTINGS = [
    "data.lab={problems: {countdown3: 16, countdown4: 16}, suites: {countdown3: 8, guarded: 6}}",
    "curate.keep=0.9", "measure.samples=4", "measure.max_tokens=40",
    "train.objective=nll", "train.updates=6", "train.batch_size=4", "train.learning_rate=1e-3",
    "train.save_seconds=0.01",
    "bridge.samples=2", "bridge.max_tokens=120", "bridge.solves=0.0", "bridge.otherwise=raw",
    "rl.updates=4", "rl.prompts=2", "rl.samples=4", "rl.micro_rows=8", "rl.max_tokens=40", "rl.kl_every=0",
    "rl.save_every=1", "critique.samples=2", "critique.max_tokens=60",
    "stages.rounds=2", "stages.samples=2", "evaluate.samples=2", "evaluate.max_tokens=60", "generate.chunk=8",
]  # fmt: skip
SPEED = {"tokens_per_second", "seconds"}  # of a row of the log: what differs between any two runs
PROCESSES = multiprocessing.get_context("fork")
LONGEST = 20.0  # seconds from a run's first line to its kill


class Attempt:
    """One process of the run, forked from this one, which has imported everything; and what it said."""

    def __init__(self, out: Path) -> None:
        ours, theirs = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(target=_run, args=(out, theirs))
        self.process.start()
        theirs.close()
        self._heard, self.lines = ours, list[str]()

    def killed_after(self, seconds: float) -> bool:
        """Whether it lived that long from its first line, and was killed then; False when it ended before."""
        self._heard.poll(None)
        self.process.join(seconds)
        killed = self.process.is_alive()
        self.process.kill()
        self.process.join()
        with contextlib.suppress(EOFError):
            while True:
                self.lines.append(self._heard.recv())
        if self.process.exitcode not in (0, -signal.SIGKILL):
            raise SystemExit("the run failed:\n" + "\n".join(self.lines[-20:]))
        return killed

    @property
    def stage(self) -> str:
        """The stage that was running when the last line came."""
        begun = [line.split(":")[0] for line in self.lines if line.endswith(": running")]
        return begun[-1] if begun else "between stages"


def _run(out: Path, pipe: Connection) -> None:
    """The run, in its process; its lines go to the one that kills it."""
    os.setsid()
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - bars of progress
    try:
        run(load_recipe("quickstart", SETTINGS), out=out, said=pipe.send)
    except BaseException:
        pipe.send(traceback.format_exc())
        raise


def found(run: Path) -> dict[str, Any]:
    """Everything that two runs must share: figures, rollouts, groups, ledgers, losses, and the stages' keys."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    logs = {
        str(file.relative_to(run)): _rows(file) for file in sorted(run.glob("*/*.jsonl")) if file.stem != "failures"
    }
    tables = ("scores", "differences", "moves")
    return {
        "summary": {name: value for name, value in summary.items() if name != "seconds"},
        # RL's failures name their model by its folder, which is another one in every run
        "rollouts": {
            name: [repr(replace(one, model="")) for one in read_rollouts(run / name)] for name in _rollout_files(run)
        },
        "logs": logs,
        "tables": {name: repr(read_table(run / f"{name}.parquet")) for name in tables},
        "ledgers": {
            str(file.relative_to(run)): repr(read_table(file)) for file in sorted(run.glob("*/ledger.parquet"))
        },
        "keys": {name: made["key"] for name, made in read_manifest(run)["stages"].items()},
    }


def _rows(file: Path) -> list[Any]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name not in SPEED} for row in rows]


def _rollout_files(run: Path) -> Iterator[str]:
    for file in sorted([*run.glob("*/rollouts.parquet"), *run.glob("*/failures.jsonl")]):
        if file.stat().st_size:
            yield str(file.relative_to(run))


def faults(run: Path, whole: dict[str, Any]) -> list[str]:
    """What of a finished run is not as it should be, a line each."""
    ours = found(run)
    lines = [f"{name} differs" for name, value in whole.items() if ours[name] != value]
    for name in _rollout_files(run):
        rows = [(one.model, one.suite, one.problem_id, one.sample) for one in read_rollouts(run / name)]
        lines += [f"{name}: {len(rows) - len(set(rows))} rollouts twice"] if len(set(rows)) < len(rows) else []
    for name, made in read_manifest(run)["stages"].items():
        file = run / name / "stage.json"
        if not file.exists() or json.loads(file.read_text(encoding="utf-8")) != made:
            lines.append(f"{name}: the manifest does not say what stands there")
    return lines + [
        f"{path.name} is left over" for path in run.iterdir() if path.name.startswith(".") or path.name == "work"
    ]


def main() -> None:
    """Kill as often as asked; exit status 1 when a run came out otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    rng, began = random.Random(asked.seed), time.monotonic()
    for earlier in asked.out.glob("run-*"):
        shutil.rmtree(earlier)
    alone = asked.out / "alone"  # one of an earlier call is kept: no stage of it runs again
    Attempt(alone).killed_after(3600)
    whole = found(alone)
    kills, wrong, number = list[str](), list[str](), 0
    while len(kills) < asked.kills:
        number += 1
        run = asked.out / f"run-{number}"
        while (attempt := Attempt(run)).killed_after(rng.uniform(0, LONGEST) if len(kills) < asked.kills else 3600):
            kills.append(attempt.stage)
            print(f"kill {len(kills)} in {attempt.stage} of run {number}", file=sys.stderr, flush=True)
        here = [f"run {number}: {line}" for line in faults(run, whole)]
        wrong += here
        print(f"run {number} is whole: {not here}", file=sys.stderr, flush=True)
    print(
        json.dumps(
            {
                "kills": len(kills),
                "where": Counter(kills),
                "runs": number,
                "rollouts": {name: len(rows) for name, rows in whole["rollouts"].items()},
                "stages": list(whole["keys"]),
                "faults": wrong,
                "minutes": round((time.monotonic() - began) / 60, 1),
            },
            indent=1,
        )
    )
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
