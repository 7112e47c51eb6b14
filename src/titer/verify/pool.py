r"""Grading in processes that can be killed.

    with Grader(workers=4, timeout=10.0) as grader:
        grades = grader.grade([(problem, response), …])

    grades = grade_many(items)     # the same for one batch

`math` and `gym:TASK` run sympy on what a model wrote, which may never end or may take the process down. Their
items go to worker processes one at a time. An item's clock starts when its grading starts; a worker that
overruns it is killed and replaced, and its item is ungraded (score None, note "timeout"). A worker that dies
leaves its item ungraded with the note "crash: …". No other item is touched. Other verifiers run inline.

Workers are fresh interpreters that import neither the caller's main module nor torch, so that the caller may
have threads, need not guard its main module, and pays no second torch.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from multiprocessing.connection import Pipe, wait
from types import TracebackType
from typing import NamedTuple, Self, cast

from titer.cores import usable_cores
from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify.grade import Grade
from titer.verify.table import check, find_verifier, validate_problem
from titer.verify.worker import decode_grade, encode

START_SECONDS = 300.0  # for a worker to import what it needs, on a machine busy with other work
GRACE_SECONDS = 1.0  # for a worker that closed its pipe to exit by itself
FAILED_STARTS = 3  # in a row, after which the installation is at fault and not an item
_COMMAND = "from titer.verify.worker import main; main()"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class _Job(NamedTuple):
    """One item and its place in the batch."""

    place: int
    problem: Problem
    response: str


class _Worker:
    """One grading process, the job that it holds, and until when it may be silent."""

    def __init__(self) -> None:
        self.pipe, child = Pipe()
        # Imports come from where this process has them; the hash seed fixes the order of sympy's sets.
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - strings, as in sys.path
        environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, with a constant program
            [sys.executable, "-P", "-W", "ignore", "-c", _COMMAND, str(child.fileno())],
            pass_fds=[child.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # some scorers print
        )
        child.close()
        self.job: _Job | None = None
        self.ready = False
        self.begun = False
        self.deadline = time.monotonic() + START_SECONDS

    @property
    def idle(self) -> bool:
        return self.ready and self.job is None

    def give(self, job: _Job, timeout: float) -> None:
        message = _encode(job, timeout)
        self.job, self.begun = job, False
        self.deadline = time.monotonic() + START_SECONDS
        self.pipe.send_bytes(message)

    def end(self) -> str:
        """Wait for the process to end, or kill it. Says how it ended."""
        try:
            status = self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()


class Grader:
    """Grades batches, and keeps its workers between them. Not for use by several threads at once.

    `workers` processes at most, one for each usable CPU if None; they start when first needed. `timeout` in
    seconds, for each item. Raises InputError if either is not positive.
    """

    def __init__(self, workers: int | None = None, timeout: float = 10.0) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"{workers} grading workers", field="workers", remedy="ask for at least one")
        if not 0 < timeout < math.inf:
            raise InputError(f"a timeout of {timeout} seconds", field="timeout", remedy="give a positive number")
        self.workers = workers or usable_cores()
        self.timeout = timeout
        self._staff: list[_Worker] = []
        self._failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        while self._staff:
            self._staff.pop().kill()

    def grade(self, items: Iterable[tuple[Problem, str]]) -> list[Grade]:
        """Grade (problem, response) pairs; grades come in the order of the items.

        Raises InputError, before anything is graded, if a problem is one that `validate_problem` refuses, and
        RuntimeError if workers cannot start.
        """
        jobs = [_Job(place, problem, response) for place, (problem, response) in enumerate(items)]
        for problem in {id(job.problem): job.problem for job in jobs}.values():
            validate_problem(problem)
        slow = deque(job for job in jobs if find_verifier(job.problem.verifier).warm_up)
        grades: dict[int, Grade] = {}
        try:
            self._supervise(slow, grades)
        finally:  # an interrupt leaves workers busy with items that nobody waits for
            for worker in [worker for worker in self._staff if worker.job]:
                self._dismiss(worker)
        return [grades[job.place] if job.place in grades else check(job.problem, job.response) for job in jobs]

    def _supervise(self, jobs: deque[_Job], grades: dict[int, Grade]) -> None:
        """Hand out `jobs` and collect `grades` until every job has one."""
        for worker in [worker for worker in self._staff if worker.process.poll() is not None]:
            self._dismiss(worker)  # it died between two batches
        while jobs or any(worker.job for worker in self._staff):
            self._hire(len(jobs))
            for worker in self._staff:
                if jobs and worker.idle:
                    self._assign(worker, jobs)
            for worker in self._wait():
                self._listen(worker, jobs, grades)
            for worker in self._overdue():
                self._lose(worker, "timeout", jobs, grades)

    def _hire(self, waiting: int) -> None:
        free = sum(worker.job is None for worker in self._staff)
        for _ in range(min(waiting - free, self.workers - len(self._staff))):
            self._staff.append(_Worker())

    def _assign(self, worker: _Worker, jobs: deque[_Job]) -> None:
        job = jobs.popleft()
        with contextlib.suppress(OSError):  # it died; `_listen` will find its pipe closed and hand the job on
            worker.give(job, self.timeout)

    def _wait(self) -> list[_Worker]:
        """Wait until a worker speaks or dies, or until the first deadline. Gives those that did."""
        busy = [worker.deadline for worker in self._staff if not worker.idle]
        seconds = max(0.0, min(busy) - time.monotonic()) if busy else None
        heard = set(wait([worker.pipe for worker in self._staff], seconds))
        return [worker for worker in self._staff if worker.pipe in heard]

    def _listen(self, worker: _Worker, jobs: deque[_Job], grades: dict[int, Grade]) -> None:
        try:
            message = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            self._lose(worker, f"crash: {worker.end()}", jobs, grades)
            return
        if message == b'"ready"':
            worker.ready = True
        elif message == b'"begun"':
            worker.begun, worker.deadline = True, time.monotonic() + self.timeout
            self._failed_starts = 0
        else:
            grades[cast(_Job, worker.job).place] = decode_grade(message)
            worker.job = None

    def _overdue(self) -> list[_Worker]:
        now = time.monotonic()
        return [worker for worker in self._staff if not worker.idle and worker.deadline <= now]

    def _lose(self, worker: _Worker, note: str, jobs: deque[_Job], grades: dict[int, Grade]) -> None:
        """Replace a worker. The job that it had begun is ungraded; one that it had not begun waits again."""
        self._dismiss(worker)
        if worker.job and worker.begun:
            grades[worker.job.place] = Grade(None, None, note)
            return
        if worker.job:
            jobs.appendleft(worker.job)
        self._failed_starts += not worker.idle
        if self._failed_starts >= FAILED_STARTS:
            self._failed_starts = 0
            raise RuntimeError(f"{FAILED_STARTS} grading workers in a row could not start ({note})")

    def _dismiss(self, worker: _Worker) -> None:
        self._staff.remove(worker)
        worker.kill()


def grade_many(
    items: Iterable[tuple[Problem, str]], *, workers: int | None = None, timeout: float = 10.0
) -> list[Grade]:
    """Grade (problem, response) pairs in order, with workers that live as long as the call. See `Grader`."""
    with Grader(workers, timeout) as grader:
        return grader.grade(items)


def _encode(job: _Job, timeout: float) -> bytes:
    try:
        return encode(job.problem, job.response, timeout)
    except (TypeError, ValueError) as error:
        fault = f"problem {job.problem.id!r} has a meta that is not JSON: {error}"
        raise InputError(fault, field="meta", remedy="keep strings, numbers, lists and mappings there") from error
