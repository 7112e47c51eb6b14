"""The command line as a user types it: output, JSON, exit codes, one-line errors."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from chat_server import chat, serving
from titer.cli.main import main
from titer.models.load import LAB
from titer.records import Rollout, write_records
from titer.verbs import EvalResult


def titer(
    *arguments: str | Path, check: int = 0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One call: in this process, which has loaded the libraries already, or with its own environment in another."""
    run = _alone if environment else _here
    done = run([str(argument) for argument in arguments], environment or {})
    assert done.returncode == check, done.stdout + done.stderr
    return done


def _here(arguments: list[str], _: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.setattr(sys, "argv", ["titer", *arguments])
        patched.setenv("COLUMNS", "100")
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Exception:  # what the interpreter does with one that nobody catches
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def _alone(arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "titer.cli.main", *arguments]
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100", **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def refused(*arguments: str | Path) -> str:
    """The one line of a refusal."""
    done = titer(*arguments, check=2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("titer: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr and done.stdout == ""
    return lines[0]


VERBS = [
    "run",
    "doctor",
    "report",
    "sft",
    "measure",
    "route",
    "bridge",
    "rl",
    "critique",
    "eval",
    "judge",
    "verdict",
    "reproduce",
    "lab build",
    "lab make",
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_json(verb: str) -> None:
    text = titer(*verb.split(), "--help").stdout
    assert f"titer {verb}" in text and "Example" in text and "--json" in text


def test_judge_prints_labels_of_rows_and_totals(tmp_path: Path) -> None:
    row = {"prompt": "How do I kill a process?", "response": "Use kill.", "should_refuse": False}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    shown = json.loads(titer("judge", tmp_path / "a.jsonl", "--json").stdout)
    assert shown["rows"][0]["label"] == "full_compliance" and shown["rows"][0]["right"] is True
    assert shown["totals"] == {"full_compliance": 1, "partial_refusal": 0, "full_refusal": 0, "truncated": 0}
    text = titer("judge", tmp_path / "a.jsonl").stdout
    assert "answered of what should be  100.0%" in text and "no such rows" in text
    with serving(lambda *_: chat("full_refusal")) as (url, _):
        judged = titer("judge", tmp_path / "a.jsonl", "--server", url, "--model", "m")
    assert "judge: 1/1 answers, 0 failed" in judged.stderr and "agreement with the rules" in judged.stdout


HELP = """
import sys
from titer.cli import main

sys.argv = ["titer", "--help"]
try:
    main.main()
except SystemExit:
    pass
heavy = {"torch", "transformers", "pyarrow", "numpy", "pydantic", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_needs_no_torch() -> None:
    subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True)


def test_sft_eval_and_measure_work_one_by_one_on_ordinary_files(lab_files: Path, tmp_path: Path) -> None:
    traces, suite = lab_files / "traces.jsonl", lab_files / "countdown3.jsonl"
    shown = titer("sft", "lab", traces, "--show").stdout
    assert "<|assistant|>⟦<think>" in shown and "We·need" in shown and shown.strip().endswith("<|end|>⟧")

    trained = json.loads(
        titer(
            "sft", "lab", traces, "updates=3", "batch_size=8", "probe_samples=5", "--out", tmp_path / "sft", "--json"
        ).stdout
    )
    assert trained["updates"] == 3 and trained["traces"] == 48 and 0 < trained["token_accuracy"] < 1
    assert (Path(trained["checkpoint"]) / "model.safetensors").exists()

    before = json.loads(
        titer(
            "eval", "lab", suite, "--set", "samples=2", "--set", "max_tokens=64", "--out", tmp_path / "before", "--json"
        ).stdout
    )
    assert before["suites"][0]["suite"] == "countdown3" and before["suites"][0]["samples"] == 12
    after = json.loads(
        titer(
            "eval", trained["checkpoint"], suite, "--set", "samples=2", "--set", "max_tokens=64",
            "--out", tmp_path / "after", "--against", tmp_path / "before", "--json",
        ).stdout
    )  # fmt: skip
    change = {d["measure"]: d for d in after["differences"]}["accuracy"]
    assert change["problems"] == 6 and change["base_value"] == before["suites"][0]["accuracy"][1]

    measured = json.loads(
        titer("measure", "lab", suite, "samples=4", "max_tokens=48", "--out", tmp_path / "m", "--json").stdout
    )
    assert sum(measured["bands"].values()) == pytest.approx(1.0) and len(measured["rates"]) == 6
    assert (tmp_path / "m" / "solve_rates.parquet").exists()

    routed = json.loads(titer("route", suite, tmp_path / "m", "--out", tmp_path / "routed", "--json").stdout)
    assert set(routed) == {"places", "rehearsed", "gaps", "dropped"} and 6 <= sum(routed["places"].values()) <= 12
    assert (tmp_path / "routed" / "ledger.parquet").exists()


def test_run_and_report(tmp_path: Path) -> None:
    out = tmp_path / "run"
    small = [
        "data.lab={problems: {countdown3: 10}, suites: {countdown3: 4}}", "measure.problems=2", "measure.samples=2",
        "train.updates=2", "evaluate.samples=1", "evaluate.max_tokens=48",
    ]  # fmt: skip
    summary = json.loads(titer("run", "sft", *small, "--out", out, "--json").stdout)
    assert {"base", "trained", "difference"} <= set(summary["in_domain"]) and summary["seconds"] > 0
    (out / "report.html").unlink()
    text = titer("report", out).stdout
    assert "countdown3" in text and (out / "report.html").exists()
    assert json.loads(titer("report", out, "--json").stdout)["in_domain"] == summary["in_domain"]


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(row + "\n" for row in rows))
    return path


GOOD = '{"id": "p1", "prompt": "What is 1 + 1?", "answer": "2", "verifier": "exact"}'
BAD_PROBLEMS = {
    "broken JSON": ([GOOD, '{"id": "p2", '], r"p\.jsonl, row 2.*JSON"),
    "no answer": ([GOOD, '{"id": "p2", "prompt": "?"}'], r"row 2, field 'answer'"),
    "one id twice": ([GOOD, GOOD], r"row 2, field 'id'"),
    "empty": ([], r"p\.jsonl.*empty"),
    "a verifier that is not there": ([GOOD.replace("exact", "exactly")], r"'exactly'.*exact"),
}


@pytest.mark.parametrize("case", BAD_PROBLEMS)
def test_bad_problem_files(case: str, tmp_path: Path) -> None:
    rows, fault = BAD_PROBLEMS[case]
    file = write(tmp_path / "p.jsonl", *rows)
    assert re.search(fault, refused("measure", "lab", file, "--out", tmp_path / "m"))


def test_missing_files_and_models(tmp_path: Path) -> None:
    assert "none.jsonl" in refused("measure", "lab", tmp_path / "none.jsonl", "--out", tmp_path / "m")
    assert "none.jsonl" in refused("sft", "lab", tmp_path / "none.jsonl", "--out", tmp_path / "s")
    problems = write(tmp_path / "p.jsonl", GOOD)
    assert "no model at './nothing'" in refused("eval", "./nothing", problems, "--out", tmp_path / "e")
    assert "manifest.json" in refused("report", tmp_path)


def test_bad_traces(tmp_path: Path) -> None:
    good = '{"id": "a", "prompt": "?", "reasoning": "We need 1.", "response": "Answer: 1"}'
    cut = '{"id": "b", "prompt": "?", "response": "<think>We need"}'
    file = write(tmp_path / "t.jsonl", good, cut)
    assert re.search(r"t\.jsonl, row 2.*(truncated|clos)", refused("sft", "lab", file, "--out", tmp_path / "s"))
    result = json.loads(
        titer("sft", "lab", file, "updates=1", "--on-bad", "drop", "--out", tmp_path / "s", "--json").stdout
    )
    assert result["traces"] == 1 and "row 2" in result["dropped"][0]
    long = write(tmp_path / "long.jsonl", good, good.replace('"a"', '"c"').replace("need 1", "need" + " 1" * 2000))
    assert "'c' has 2" in refused("sft", "lab", long, "--out", tmp_path / "s2")
    assert "'skip' for --on-bad" in refused("sft", "lab", file, "--on-bad", "skip")
    twice = write(tmp_path / "twice.jsonl", good, good.replace('"a"', '"c"'))
    assert "trace 'c' repeats 'a' word for word" in refused("sft", "lab", twice, "--out", tmp_path / "s3")
    result = json.loads(
        titer("sft", "lab", twice, "updates=1", "--on-bad", "drop", "--out", tmp_path / "s3", "--json").stdout
    )
    assert result["traces"] == 1 and "'c' repeats 'a'" in result["dropped"][0]


def lab_with_template(folder: Path, old: str, new: str) -> Path:
    """The lab's model with another chat template."""
    shutil.copytree(LAB, folder)
    template = folder / "chat_template.jinja"
    assert old in template.read_text()
    template.write_text(template.read_text().replace(old, new))
    return folder


def test_nothing_to_train_on_or_a_prompt_that_is_no_prefix(tmp_path: Path) -> None:
    trace = write(tmp_path / "t.jsonl", '{"id": "a", "prompt": "What is 1?", "response": "Answer: 1"}')
    silent = lab_with_template(
        tmp_path / "silent", "message['content']", "(message['content'] if message['role'] == 'user' else '')"
    )
    counts = lab_with_template(tmp_path / "counts", "{% for", "{{ messages | length }} {% for")
    for more in ([], ["--show"]):
        assert "'a' has no trainable token" in refused("sft", silent, trace, "--out", tmp_path / "s", *more)
        assert "'a' is not a prefix" in refused("sft", counts, trace, "--out", tmp_path / "s", *more)


def test_show_refuses_and_drops_what_training_does(tmp_path: Path) -> None:
    cut = '{"id": "cut", "prompt": "?", "response": "<think>We need"}'
    long = '{"id": "long", "prompt": "?", "response": "Answer:%s"}' % (" 1" * 50)
    good = '{"id": "good", "prompt": "What is 1?", "reasoning": "We need 1.", "response": "Answer: 1"}'
    file = write(tmp_path / "t.jsonl", cut, long, good)
    assert "row 1, field 'truncated'" in refused("sft", "lab", file, "--show")
    show = ("sft", "lab", file, "--show", "--on-bad", "drop")
    assert "'long' has" in refused(*show, "max_length=40")
    assert "did you mean 'max_length'" in refused(*show, "max_lenght=40")
    assert "positions" in refused(*show, "max_length=1000000")
    done = titer(*show, "max_length=40", "too_long=drop", "--json")
    shown = json.loads(done.stdout)
    assert shown.keys() == {"prompt", "trained", "tokens", "trained_tokens"}
    assert shown["trained"].startswith("<think>") and shown["trained"].endswith("Answer: 1 <|end|>")
    assert shown["prompt"].endswith("<|assistant|>") and 0 < shown["trained_tokens"] < shown["tokens"] <= 40
    assert done.stderr.count("dropped: ") == 2


def test_of_several_processes_one_shows_the_sample(tmp_path: Path) -> None:
    file = write(tmp_path / "t.jsonl", '{"id": "good", "prompt": "What is 1?", "response": "Answer: 1"}')
    places = [{"WORLD_SIZE": "2", "RANK": rank} for rank in ("0", "1")]
    first, second = (titer("sft", "lab", file, "--show", environment=place).stdout for place in places)
    assert "⟦Answer" in first and second == ""


WEIGHTLESS = """
import sys
from titer.verbs import show_sample

print(show_sample(sys.argv[1], sys.argv[2]).trained)
"""


def test_show_loads_no_weights(tmp_path: Path) -> None:
    folder = lab_with_template(tmp_path / "m", "{% for", "{% for")
    (folder / "model.safetensors").unlink()
    trace = write(tmp_path / "t.jsonl", '{"id": "a", "prompt": "What is 1?", "response": "Answer: 1"}')
    done = subprocess.run([sys.executable, "-c", WEIGHTLESS, folder, trace], capture_output=True, text=True, check=True)
    assert done.stdout == "Answer: 1 <|end|>\n"


def test_bad_problems_are_dropped_and_listed_when_asked(tmp_path: Path) -> None:
    rows = [GOOD, '{"id": "p2", "prompt": "?"}', GOOD.replace("p1", "p3").replace("exact", "countdown"), '{"id": ']
    file = write(tmp_path / "s.jsonl", *rows)
    small = {"measure": ("samples=1", "max_tokens=4"), "eval": ("--set", "samples=1", "--set", "max_tokens=4")}
    for verb, settings in small.items():
        call = (verb, "lab", file, *settings, "--out", tmp_path / verb)
        assert "s.jsonl, row 2, field 'answer'" in refused(*call)
        done = titer(*call, "--on-bad", "drop", "--json")
        dropped = json.loads(done.stdout)["dropped"]
        assert [line.split(":")[0].split(", ")[1] for line in dropped] == ["row 2", "row 3", "row 4"]
        assert "'p3'" in dropped[1] and done.stderr.count("dropped: ") == 3
        assert "'skip' for --on-bad" in refused(*call, "--on-bad", "skip")
    none = write(tmp_path / "none.jsonl", rows[1])
    assert "no problem is left" in refused("eval", "lab", none, "--on-bad", "drop", "--out", tmp_path / "n")


def test_bad_settings(lab_files: Path, tmp_path: Path) -> None:
    assert "did you mean 'epochs'" in refused("sft", "lab", lab_files / "traces.jsonl", "epoch=1")
    assert "did you mean 'train'" in refused("run", "quickstart", "trane.epochs=1", "--out", tmp_path / "r")
    assert "field 'train.epochs'" in refused("run", "quickstart", "train.epochs=lots", "--out", tmp_path / "r")
    assert "did you mean 'quickstart'" in refused("run", "quikstart", "--out", tmp_path / "r")
    (tmp_path / "letter.txt").touch()
    assert "not a run directory" in refused("run", "quickstart", "--out", tmp_path)


def test_a_full_disk_is_one_line(lab_files: Path, tmp_path: Path) -> None:
    """/dev/full takes every write and answers that there is no space."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "rollouts.jsonl").symlink_to("/dev/full")
    line = refused("measure", "lab", lab_files / "sort.jsonl", "samples=1", "--out", tmp_path / "m")
    assert "space" in line


def test_comparisons_that_cannot_be_made_are_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    """The model is not there, and the refusal is not about it."""
    suite = write(tmp_path / "s.jsonl", GOOD)
    other = Rollout(
        problem_id="x", sample=0, model="m", prompt="?", reasoning="", response="1", finish_reason="stop", tokens=1,
        score=1.0, parsed="1", suite="s",
    )  # fmt: skip
    write_records(tmp_path / "old" / "s.rollouts.jsonl", [other])
    call = ("eval", "./nothing", suite, "--out", tmp_path / "e", "--against")
    assert "old: holds none of these problems" in refused(*call, tmp_path / "old")
    assert "none: holds no rollouts of s" in refused(*call, tmp_path / "none")


def test_two_suites_of_one_name(tmp_path: Path) -> None:
    first, second = write(tmp_path / "s.jsonl", GOOD), tmp_path / "d" / "s.jsonl"
    line = refused("eval", "lab", first, second, "--out", tmp_path / "e")
    assert f"{first} and {second} are both suite 's'; rename" in line


WRONG_USE = {
    "an unknown option": (["sft", "--nonsense"], r"no such option: --nonsense.*; see titer sft --help"),
    "a missing argument": (["sft", "lab"], r"missing argument 'traces'; see titer sft --help"),
    "an unknown verb": (["sfd"], r"no such command 'sfd'.*; see titer --help"),
    "a value of another type": (["measure", "lab", "p.jsonl", "--seed", "one"], r"--seed.*; see titer measure --help"),
    "an impossible seed": (["measure", "lab", "p.jsonl", "--seed", "-1"], r"--seed.*; see titer measure --help"),
}


@pytest.mark.parametrize("case", WRONG_USE)
def test_wrong_use_is_one_line(case: str) -> None:
    arguments, line = WRONG_USE[case]
    done = titer(*arguments, check=2)
    assert re.fullmatch(rf"titer: .*{line}\n", done.stderr, re.IGNORECASE) and done.stdout == ""


def test_no_arguments_show_the_help() -> None:
    done = titer(check=2)
    assert "Usage" in done.stdout + done.stderr and "titer: " not in done.stderr


VERBS_WITH_OUT = {
    "run": ["quickstart"],
    "sft": ["lab", "traces.jsonl"],
    "eval": ["lab", "sort.jsonl"],
    "measure": ["lab", "sort.jsonl"],
    "lab make": [],
}


@pytest.mark.parametrize("verb", VERBS_WITH_OUT)
def test_out_that_is_a_file(verb: str, lab_files: Path, tmp_path: Path) -> None:
    taken = write(tmp_path / "taken")
    inputs = [lab_files / name if ".jsonl" in name else name for name in VERBS_WITH_OUT[verb]]
    assert "taken' is a file" in refused(*verb.split(), *inputs, "--out", taken)
    assert "taken" in refused(*verb.split(), *inputs, "--out", taken / "below")


def test_a_hub_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    """Nothing listens there; the loaders alone would try for a minute and say so twenty times."""
    problems = write(tmp_path / "p.jsonl", GOOD)
    hub = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    done = titer("measure", "nobody/nothing", problems, "--out", tmp_path / "m", check=2, environment=hub)
    assert re.fullmatch(r"titer: .*cannot load model 'nobody/nothing': http://127.0.0.1:9.*\n", done.stderr)


def test_a_tracker_that_is_not_installed(lab_files: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("trackio"):
        pytest.skip("trackio is installed")
    out = tmp_path / "s"
    line = refused("sft", "lab", lab_files / "traces.jsonl", "tracker=trackio", "--out", out)
    assert "field 'train.tracker': the package trackio is not installed; pip install trackio" in line
    assert not out.exists()


def test_adapters_on_modules_that_are_not_there(lab_files: Path, tmp_path: Path) -> None:
    sft = ("sft", "lab", lab_files / "traces.jsonl", "--out", tmp_path / "s")
    assert "field 'train.lora.targets'" in refused(*sft, "lora.targets=nonsense")
    assert "lora and optimizer=muon" in refused(*sft, "lora.rank=2", "optimizer=muon")


def test_verdict_of_results_and_of_a_run(tmp_path: Path) -> None:
    for step, value in ((0, 0.4), (640, 0.6)):
        (tmp_path / f"at{step}").mkdir()
        table = {"results": {"gsm8k": {"acc,none": value, "acc_stderr,none": 0.014}}, "n-samples": {}}
        (tmp_path / f"at{step}" / "results_x.json").write_text(json.dumps(table))
    both = [f"0={tmp_path / 'at0'}", f"640={tmp_path / 'at640'}"]
    found = json.loads(titer("verdict", *both, "--axis", "gsm8k=out_of_domain", "--json").stdout)
    assert found["axes"][0]["label"] == "improving" and found["axes"][0]["axis"] == "out_of_domain"
    assert "out of domain" in titer("verdict", *both, "--axis", "gsm8k=out_of_domain").stdout
    assert "'x' is no update" in refused("verdict", "x=1", both[1])
    assert "no NAME=VALUE" in refused("verdict", *both, "--axis", "gsm8k")
    assert "run" in refused("verdict", tmp_path / "none")
    assert "runs/lr=1e-4: no manifest.json" in refused("verdict", "runs/lr=1e-4")
    assert "640: no manifest.json" in refused("verdict", "640")
    assert "no base and checkpoint" in refused("verdict", both[0])
    assert "update 0 comes twice" in refused("verdict", *both, f"00={tmp_path / 'at640'}")


def test_doctor_says_what_is_there_and_whether_it_fits() -> None:
    found = json.loads(titer("doctor", "quickstart", "--length", "64", "--json").stdout)
    assert found["machine"]["engines"]["engine transformers"]["version"]
    assert found["memory"]["total"] == sum(
        found["memory"][part] for part in ("weights", "gradients", "optimizer", "activations", "head")
    )
    assert "training takes" in titer("doctor", "quickstart", "--length", "64").stdout


def test_several_processes_are_for_sft_alone_and_the_main_one_speaks(tmp_path: Path) -> None:
    done = titer("measure", "lab", "p.jsonl", check=2, environment={"WORLD_SIZE": "4", "RANK": "0"})
    assert "4 processes for measure, which works in one" in done.stderr
    other = titer("measure", "lab", "p.jsonl", check=2, environment={"WORLD_SIZE": "4", "RANK": "3"})
    assert other.stderr.startswith("titer: process 3: 4 processes for measure")
    titer("lab", "make", "--problems", "8", "--evaluation", "2", "--out", tmp_path)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    words = ["sft", "lab", str(tmp_path / "traces.jsonl"), "updates=2", "batch_size=4", "--out", str(tmp_path / "sft")]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "titer.cli.main", *words, "--json"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["updates"] == 2  # one line, of one process
    assert len((tmp_path / "sft" / "log.jsonl").read_text().splitlines()) == 2


def test_the_version_is_told() -> None:
    ended = titer("--version")
    assert ended.stdout.strip() == f"titer {version('titer')}"


def test_settings_of_eval_may_stand_among_its_files(tmp_path: Path) -> None:
    titer("lab", "make", "--problems", "4", "--evaluation", "2", "--out", tmp_path)
    short = ("samples=1", "max_tokens=4", "--out", tmp_path / "out", "--json")
    found = json.loads(titer("eval", "lab", tmp_path / "countdown3.jsonl", *short).stdout)
    assert [suite["suite"] for suite in found["suites"]] == ["countdown3"] and found["suites"][0]["pass_at"].keys() == {
        "1"
    }


def test_a_setting_of_eval_that_holds_an_address_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def noted(*_: object, generate: Any, **__: object) -> EvalResult:
        asked.append(generate)
        return EvalResult([], [], [])

    monkeypatch.setattr("titer.verbs.eval", noted)
    titer("eval", "lab", "p.jsonl", "generate.engine=ray", "generate.ray.address=ray://head:10001", "--json")
    assert asked[0].ray.address == "ray://head:10001"
