"""What the reproductions' tests share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from titer.reproduce import engine
from titer.reproduce.experiment import Experiment
from titer.reproduce.tables import JobResult
from titer.reproduce.worker import run
from titer.store import versions, write_json


@pytest.fixture
def jobs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this process, which has loaded torch already; that the engine starts processes has its own tests."""

    def run_jobs(experiment: Experiment, jobs: Sequence[engine.Job], **_: Any) -> None:
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
            measures = run(experiment, job.arm, job.seed, experiment.settings, job.folder)
            write_json(job.result, JobResult(job.arm, job.seed, measures, 0.0, versions())._asdict())

    monkeypatch.setattr(engine, "run_jobs", run_jobs)
