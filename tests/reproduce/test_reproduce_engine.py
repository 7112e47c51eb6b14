"""The engine on a toy: the table, resuming, failing, dying; no model anywhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from toy_reproduction import toy

from shared import wait_until
from titer.errors import InputError
from titer.reproduce import JobError, reproduce
from titer.reproduce.engine import run_experiment
from titer.reproduce.experiment import Claim


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that tells the toy's jobs what to do; the workers find the toy by its module name."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    folder = tmp_path / "control"
    folder.mkdir()
    return folder


def ran(control: Path) -> list[str]:
    return sorted((control / "ran").read_text().splitlines())


def test_a_table_and_nothing_twice(control: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    out = tmp_path / "out"
    table = run_experiment(toy(control), seeds=2, jobs=2, out=out, said=heard.append)
    assert [claim["verdict"] for claim in table["claims"]] == ["appears", "does not appear", "cannot tell"]
    first = table["claims"][0]
    assert set(first) == {"claim", "paper", "lab", "interval", "seeds", "verdict"} and first["seeds"] == 2
    assert first["interval"][1] == pytest.approx(0.255) and "better 0.505, plain 0.250" in first["lab"]
    assert table["arms"]["better"]["score"]["values"] == [0.5, 0.51]
    assert json.loads((out / "table.json").read_text()) == table
    assert not list(out.rglob("checkpoints"))
    assert heard[0] == "0 of 4 jobs are finished, 2 at a time"
    assert len(heard) == 5 and heard[1].startswith("1/4 ") and "left" in heard[1]
    assert ran(control) == ["better 0 1", "better 1 1", "plain 0 1", "plain 1 1"]

    again = run_experiment(toy(control), seeds=2, jobs=1, out=out, said=heard.append)
    assert again == table and len(ran(control)) == 4 and heard[-1] == "4 of 4 jobs are finished, 1 at a time"


def test_what_arms_share_is_made_once_and_first(control: Path, tmp_path: Path) -> None:
    experiment = toy(control, shared=("things",))
    table = run_experiment(experiment, seeds=2, jobs=2, out=tmp_path / "out")
    assert table["shared"]["things"]["size"] == 3.0 and set(table["arms"]) == {"plain", "better"}
    assert (control / "ran").read_text().startswith("made things\n") and len(ran(control)) == 5
    assert (tmp_path / "out" / "things" / "thing").read_text() == "things"
    assert run_experiment(experiment, seeds=2, jobs=2, out=tmp_path / "out") == table and len(ran(control)) == 5
    assert "shared" not in run_experiment(toy(control), seeds=1, jobs=1, out=tmp_path / "other")


def test_the_best_of_some_arms_is_what_a_claim_is_held_against(control: Path, tmp_path: Path) -> None:
    claim = Claim("plain keeps up", "ours", "score", {"plain": 1.0}, "not below", best_of=("plain", "better"))
    experiment = replace(toy(control), claims=(claim, claim._replace(best_of=("plain",))))
    behind, level = run_experiment(experiment, seeds=2, jobs=2, out=tmp_path / "out")["claims"]
    assert behind["verdict"] == "does not appear" and behind["interval"][1] == pytest.approx(-0.255)
    assert level["verdict"] == "appears" and level["interval"] == [0, 0, 0]
    one_seed = run_experiment(experiment, seeds=1, jobs=2, out=tmp_path / "one")["claims"]
    assert [claim["verdict"] for claim in one_seed] == ["cannot tell", "cannot tell"]


def test_a_failing_job_is_one_line_and_the_finished_ones_stay(control: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (control / "fail-better-0").touch()
    with pytest.raises(
        JobError, match=r"better-seed-0 failed with status 1: ValueError: a trap; its log is .*log.txt"
    ) as e:
        run_experiment(toy(control), seeds=1, jobs=1, out=out)
    assert "\n" not in str(e.value) and "Traceback" in (out / "better-seed-0" / "log.txt").read_text()
    assert not (out / "table.json").exists()
    (control / "fail-better-0").unlink()
    table = run_experiment(toy(control), seeds=1, jobs=1, out=out)
    assert ran(control) == ["better 0 1", "better 0 1", "plain 0 1"]
    assert table["claims"][0]["interval"] == [None, 0.25, None] and table["claims"][0]["verdict"] == "cannot tell"


ENGINE = """
import sys
from pathlib import Path
from toy_reproduction import toy
from titer.reproduce.engine import run_experiment
run_experiment(toy(Path(sys.argv[1])), seeds=1, jobs=1, out=Path(sys.argv[2]))
"""


def test_a_killed_engine_takes_its_workers_with_it(control: Path, tmp_path: Path) -> None:
    (control / "sleep-plain").touch()
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, str(control), str(tmp_path / "out")])
    marker = tmp_path / "out" / "plain-seed-0" / "pid"
    wait_until(lambda: marker.exists() and marker.read_text() != "")
    worker = psutil.Process(int(marker.read_text()))
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_refuses_foreign_folders_and_senseless_numbers(control: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 for --seeds"):
        reproduce("branching", seeds=0, out=tmp_path / "new")
    with pytest.raises(InputError, match="0 for --jobs"):
        reproduce("branching", jobs=0, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="not a reproduction's folder"):
        run_experiment(toy(control), seeds=1, jobs=1, out=tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "experiment.json").write_text('{"name": "toy", "settings": {}}')
    with pytest.raises(InputError, match="other settings"):
        run_experiment(toy(control), seeds=1, jobs=1, out=tmp_path / "old")
