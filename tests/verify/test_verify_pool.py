"""The pool: hard timeouts, crashes that cost one item, order, and a parent full of threads."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import math, wait_until
from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify import Grader, check, grade_many, gym_problems

TOWER = r"\boxed{9^{9^{9^{9}}}}"  # sympy compares it with 5 for longer than anybody waits


def exact(answer: str = "5") -> Problem:
    return Problem(id="e", prompt="", answer=answer, verifier="exact")


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=2, timeout=20.0) as grader:
        yield grader


def test_grades_agree_with_check_and_keep_the_order(grader: Grader) -> None:
    items = []
    for index, problem in enumerate(gym_problems("chain_sum", count=10, seed=1)):
        items += [
            (problem, problem.answer),
            (math(str(index)), rf"\boxed{{{index}}}"),
            (math(str(index)), r"\boxed{3}"),
        ]
        items += [(exact(str(index)), str(index)), (exact(str(index)), "3")]
    assert grader.grade(items) == [check(problem, response) for problem, response in items]


def test_an_empty_batch() -> None:
    assert grade_many([]) == []


def test_items_may_be_any_iterable(grader: Grader) -> None:
    assert [grade.score for grade in grader.grade((math(), text) for text in (r"\boxed{5}", ""))] == [1.0, 0.0]


def test_texts_that_json_and_pipes_mind(grader: Grader) -> None:
    texts = ["\ud800 \x00 \u2028 \\boxed{5}", "\\boxed{5}" + " " * 2_000_000, '"}\n\\boxed{5}']
    assert [grade.score for grade in grader.grade([(math(), text) for text in texts])] == [1.0, 1.0, 1.0]


def test_an_item_that_hangs_is_killed_and_the_others_are_graded() -> None:
    items = [(math(), r"\boxed{5}"), (math(), TOWER), (math(), r"\boxed{6}"), (exact(), "5"), (math(), TOWER)]
    items += [(math(), r"\boxed{5}")] * 5
    with Grader(workers=2, timeout=1.0) as grader:
        grader.grade([(math(), r"\boxed{5}")] * 2)
        before = {worker.process.pid for worker in grader._staff}
        grades = grader.grade(items)
        after = {worker.process.pid for worker in grader._staff}
    assert [grade.score for grade in grades] == [1.0, None, 0.0, 1.0, None, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert [grade.note for grade in grades if grade.score is None] == ["timeout", "timeout"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in before - after)
    assert before - after


def test_the_clock_does_not_run_while_an_item_waits() -> None:
    items = [(math(), TOWER)] * 2 + [(math(), r"\boxed{5}")]
    assert [grade.note for grade in grade_many(items, workers=1, timeout=1.0)] == ["timeout"] * 2 + [""]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_costs_only_its_item(sign: signal.Signals) -> None:
    items = [(math(), r"\boxed{5}"), (math(), TOWER), (math(), r"\boxed{6}"), (math(), r"\boxed{5}")]
    grades = []
    with Grader(workers=1, timeout=60.0) as grader:
        thread = threading.Thread(target=lambda: grades.extend(grader.grade(items)))
        thread.start()
        wait_until(lambda: any(w.begun and w.job and w.job.response == TOWER for w in list(grader._staff)), 120)
        os.kill(grader._staff[0].process.pid, sign)
        thread.join()
    assert [grade.score for grade in grades] == [1.0, None, 0.0, 1.0]
    assert grades[1].note == f"crash: killed by {sign.name}"


def test_an_expression_that_eats_memory_costs_only_its_item() -> None:
    bomb = r"\boxed{" + "+".join(f"10^{{{10**9 + index}}}" for index in range(50)) + "}"
    grades = grade_many([(math("7"), bomb), (math(), r"\boxed{5}")], workers=1, timeout=3.0)
    assert grades[0].score != 1.0
    assert grades[1].score == 1.0


def test_workers_are_kept_between_batches_replaced_when_dead_and_ended_at_the_close() -> None:
    items = [(math(), r"\boxed{5}")] * 8
    with Grader(workers=2, timeout=20.0) as grader:
        pids = []
        for _ in range(2):
            assert [grade.score for grade in grader.grade(items)] == [1.0] * 8
            pids.append({worker.process.pid for worker in grader._staff})
        for pid in pids[1]:
            os.kill(pid, signal.SIGKILL)
        assert [grade.score for grade in grader.grade(items)] == [1.0] * 8
        pids.append({worker.process.pid for worker in grader._staff})
    assert pids[0] == pids[1]
    assert len(pids[1]) == 2
    assert not pids[1] & pids[2]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids[0] | pids[2])


def test_no_worker_starts_for_what_is_graded_inline() -> None:
    with Grader(workers=2) as grader:
        assert grader.grade([(exact(), "5")] * 10)[9].score == 1.0
        assert not grader._staff


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises, also where the suite was started in the background of a shell that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_leaves_no_worker_busy() -> None:
    with Grader(workers=1, timeout=60.0) as grader:
        grader.grade([(math(), r"\boxed{5}")])
        alarm = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
        alarm.start()
        with pytest.raises(KeyboardInterrupt):
            grader.grade([(math(), TOWER)])
        assert not grader._staff
        assert grader.grade([(math(), r"\boxed{5}")])[0].score == 1.0


def test_an_installation_that_cannot_start_workers_is_said_to_be_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titer.verify.pool._COMMAND", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match=r"3 grading workers in a row could not start \(crash: exit status 3\)"):
        grade_many([(math(), r"\boxed{5}")], workers=1)


def test_bad_problems_are_refused_before_anything_is_graded() -> None:
    with Grader(workers=1) as grader:
        with pytest.raises(InputError, match="unknown verifier"):
            grader.grade([(math(), r"\boxed{5}"), (Problem(id="x", prompt="", answer="1", verifier="mth"), "1")])
        assert not grader._staff


def test_a_meta_that_is_not_json_is_refused(grader: Grader) -> None:
    problem = Problem(id="m7", prompt="", answer="5", verifier="math", meta={"x": object()})
    with pytest.raises(InputError, match="'m7' has a meta that is not JSON"):
        grader.grade([(problem, "5")])
    assert grader.grade([(math(), r"\boxed{5}")])[0].score == 1.0


@pytest.mark.parametrize("settings", [{"workers": 0}, {"timeout": 0.0}, {"timeout": float("inf")}])
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Grader(**settings)


def test_a_parent_with_torch_threads_and_an_unguarded_main_module(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        textwrap.dedent(r"""
        import threading
        from pathlib import Path

        import torch

        from titer.records.schema import Problem
        from titer.verify import Grader

        def multiply():
            torch.ones(500, 500) @ torch.ones(500, 500)  # starts torch's own threads
            done.wait()

        torch.set_num_threads(2)
        done = threading.Event()
        thread = threading.Thread(target=multiply)
        thread.start()
        problem = Problem(id="m", prompt="", answer="5", verifier="math")
        with Grader(workers=2, timeout=60.0) as grader:
            print([grade.score for grade in grader.grade([(problem, r"\boxed{5}")] * 20)])
            maps = [Path(f"/proc/{worker.process.pid}/maps").read_text() for worker in grader._staff]
            print(["torch" in text for text in maps])
        done.set()
        thread.join()
        """)
    )
    shown = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [str([1.0] * 20), "[False, False]"]
    assert shown.stderr == ""


def test_a_worker_does_not_outlive_a_killed_parent_for_long(tmp_path: Path) -> None:
    program = textwrap.dedent(rf"""
        import threading, time
        from titer.records.schema import Problem
        from titer.verify import Grader
        grader = Grader(workers=1, timeout=1.0)
        problem = Problem(id="m", prompt="", answer="5", verifier="math")
        threading.Thread(target=lambda: grader.grade([(problem, r"{TOWER}")])).start()
        while not any(worker.begun for worker in list(grader._staff)):
            time.sleep(0.01)
        print(grader._staff[0].process.pid, flush=True)
        time.sleep(60)
        """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    orphan = Path(f"/proc/{int(parent.stdout.readline())}")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not orphan.exists() or orphan.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z")
