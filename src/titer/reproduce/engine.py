"""Runs the jobs of a reproduction, an arm and a seed each, in processes of one thread, and makes the table.

    table = reproduce("branching", seeds=5, out="runs/reproduce-branching")

`out` holds a folder a job (`divergent-seed-0/`: log.txt, result.json and what the job itself keeps) and table.json.
The same call goes on after a crash: finished jobs are kept, started ones go on in their folders.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.cores import usable_cores
from titer.errors import InputError
from titer.pipeline.alone import locked
from titer.reproduce.bases import LAB, TAUGHT
from titer.reproduce.experiment import Experiment, find
from titer.reproduce.tables import JobResult, has_table, make_table, stored
from titer.store import write_json
from titer.store.run import holds_other

Said = Callable[[str], None]

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
DISPOSABLE = ("checkpoints", "state")  # weights: fifty jobs would hold gigabytes of them
POLL_SECONDS = 0.05
AS_STORED = "expected: {}, {} jobs at a time, as fast as the machine of the stored table"


class JobError(Exception):
    """A job that failed: one line with the place of its log."""


class Job(NamedTuple):
    """One arm with one seed, and where it runs."""

    arm: str
    seed: int
    folder: Path

    @property
    def result(self) -> Path:
        """Appears when the job is finished."""
        return self.folder / "result.json"

    @property
    def log(self) -> Path:
        """What the job's processes print."""
        return self.folder / "log.txt"


def reproduce(
    name: str,
    *,
    seeds: int = 5,
    jobs: int | None = None,
    out: str | Path | None = None,
    scale: str = LAB,
    said: Said = lambda _: None,
) -> dict[str, Any]:
    """Run what is missing of a reproduction in `out` (runs/reproduce-NAME) and return its table.

    `jobs` processes work at a time (`default_jobs`). At the lab's scale it says first how long it takes, by what the
    stored table took. Raises InputError for an unknown name or scale, fewer than one seed or job, and an `out` that
    holds something else; JobError when a job fails.
    """
    experiment, folder = find(name).at(scale), folder_of(name, out, scale)
    jobs = default_jobs(scale) if jobs is None else jobs
    refuse_below_one(seeds, jobs)
    if scale != LAB:
        said(f"{name} at the scale {scale}: made for a GPU; the times of its first jobs tell how long it takes here")
    elif has_table(name):
        said(f"{name}, {AS_STORED.format(rough_duration(expected(name, folder, seeds) / jobs), jobs)}")
    return run_experiment(experiment, seeds=seeds, jobs=jobs, out=folder, said=said)


def default_jobs(scale: str) -> int:
    """As many as cores in the lab; one at another scale, for a GPU is not shared unasked."""
    return usable_cores() if scale == LAB else 1


def expected(name: str, folder: Path, seeds: int) -> float:
    """Seconds of one core that what is missing in `folder` took when the stored table was made."""
    experiment, table = find(name), stored(name)
    took = {f"{arm}-seed-{seed}": table["arms"][arm]["seconds"] for arm in experiment.arms for seed in range(seeds)}
    missing = [seconds["mean"][1] for job, seconds in took.items() if not (folder / job / "result.json").exists()]
    missing += [
        table["shared"][one]["seconds"] for one in experiment.shared if not (folder / one / "result.json").exists()
    ]
    return float(sum(missing))


def folder_of(name: str, out: str | Path | None, scale: str) -> Path:
    """Where a reproduction runs."""
    return Path(out or f"runs/reproduce-{name}{'' if scale == LAB else f'-{scale}'}")


def run_experiment(
    experiment: Experiment, *, seeds: int, jobs: int, out: Path, said: Said = lambda _: None
) -> dict[str, Any]:
    """`reproduce` of an experiment that is at hand. Raises as it does for `out` and for a job that fails."""
    with locked(out):
        return _run_held(experiment, seeds, jobs, out, said)


def _run_held(experiment: Experiment, seeds: int, jobs: int, out: Path, said: Said) -> dict[str, Any]:
    open_folder(out, experiment)
    shared = [Job(name, 0, out / name) for name in experiment.shared]
    wanted = [Job(arm, seed, out / f"{arm}-seed-{seed}") for seed in range(seeds) for arm in experiment.arms]
    # what is taught comes before what else is shared, which may start from it
    for group in ([job for job in shared if job.arm == TAUGHT], [job for job in shared if job.arm != TAUGHT], wanted):
        if group:
            run_jobs(experiment, group, parallel=jobs, said=said)
    table = make_table(experiment, [result(job) for job in wanted], [result(job) for job in shared])
    write_json(out / "table.json", table)
    return table


def refuse_below_one(seeds: int, jobs: int) -> None:
    """Raises InputError for fewer than one seed or job."""
    for option, value in (("--seeds", seeds), ("--jobs", jobs)):
        if value < 1:
            raise InputError(f"{value} for {option}", remedy="give at least 1")


def result(job: Job) -> JobResult:
    """What a finished job left."""
    return JobResult(**json.loads(job.result.read_text(encoding="utf-8")))


def open_folder(out: Path, experiment: Experiment) -> None:
    """Create `out` or go on in it. Raises InputError when it holds anything but this experiment with these settings."""
    file = out / "experiment.json"
    wanted = json.loads(json.dumps({"name": experiment.name, "settings": experiment.settings}))
    if not file.exists():
        if holds_other(out):
            raise InputError("not a reproduction's folder, and not empty", file=out, remedy="give another --out")
        write_json(file, wanted)
    elif json.loads(file.read_text(encoding="utf-8")) != wanted:
        raise InputError(
            "a reproduction with other settings stands here", file=out, remedy="give another --out, or remove this one"
        )


def run_jobs(experiment: Experiment, jobs: Sequence[Job], *, parallel: int, said: Said) -> None:
    """Run every job that has no result yet, `parallel` at a time. Raises JobError when one fails; the others end."""
    waiting = [job for job in jobs if not job.result.exists()]
    for job in set(jobs) - set(waiting):
        discard(job)
    said(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs are finished, {parallel} at a time")
    running: dict[Job, tuple[subprocess.Popen[bytes], float]] = {}
    took: list[float] = []
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                job = waiting.pop(0)
                running[job] = start(experiment, job), time.monotonic()
            for job in [job for job, (process, _) in running.items() if process.poll() is not None]:
                process, began = running.pop(job)
                _refuse_failure(job, process.returncode)
                discard(job)
                took.append(time.monotonic() - began)
                left = sum(took) / len(took) * (len(waiting) + len(running) / 2) / parallel
                done = len(jobs) - len(waiting) - len(running)
                said(f"{done}/{len(jobs)} {job.folder.name}: {took[-1]:.0f} s; about {rough_duration(left)} left")
            time.sleep(POLL_SECONDS)
    finally:
        for process, _ in running.values():
            process.kill()
            process.wait()


def start(experiment: Experiment, job: Job) -> subprocess.Popen[bytes]:
    """A process of one thread that runs the job; it ends by itself when this one is gone."""
    job.folder.mkdir(parents=True, exist_ok=True)
    settings = json.dumps(experiment.settings)
    arguments = [experiment.module, job.arm, str(job.seed), str(job.folder), settings]
    with job.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and worker
            [sys.executable, "-m", "titer.reproduce.worker", *arguments],
            stdin=subprocess.PIPE,  # closes when this process dies, which the worker sees
            stdout=log,
            stderr=log,
            env={**os.environ, **ONE_THREAD},
        )


def discard(job: Job) -> None:
    """Remove what a finished job no longer needs."""
    for name in DISPOSABLE:
        for folder in list(job.folder.rglob(name)):
            shutil.rmtree(folder, ignore_errors=True)


def _refuse_failure(job: Job, status: int) -> None:
    if status == 0 and job.result.exists():
        return
    lines = job.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = lines[-1].strip() if lines else "it printed nothing"
    raise JobError(f"{job.folder.name} failed with status {status}: {reason[:200]}; its log is {job.log}")


def rough_duration(seconds: float) -> str:
    """A duration in words."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
