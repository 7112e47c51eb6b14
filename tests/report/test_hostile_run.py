"""A whole run on hostile files: what it prints obeys nothing, and its page runs nothing and shows text as text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_sample import ATTACKS
from test_browser import Browser, chromium

# lone surrogates are refused where files are read, and no command line holds a NUL
ATTACK = " ".join(one.replace("\x00", "") for one in ATTACKS if "\ud800" not in one)
ATTACK += " \x9b2J \u202e \x1b]0;title\x07 ](javascript:alert(1)) "
SEEN = "window.pwned || document.querySelectorAll('iframe, img, a[href^=javascript], [onerror]').length"
OBEYED = set(map(chr, [*range(32), *range(127, 160), 0x202E])) - {"\n"}


def lines(file: Path, rows: list[dict[str, object]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, traces by two teachers, and a suite, with an attack in every text."""
    folder = tmp_path_factory.mktemp("hostile")
    names = [f"{ATTACK} {number}" for number in range(4)]
    problems = [{"id": name, "prompt": f"What is 1? {name}", "answer": "7", "verifier": "exact"} for name in names]
    teachers = [f"A {ATTACK}", f"B {ATTACK}"]
    traces = [
        {"id": f"{name} {teacher[0]}", "problem_id": name, "problem": f"What is 1? {name}", "teacher": teacher,
         "reasoning": f"{ATTACK}. So 3 + 4 = 7.\n\nWait, {ATTACK}. Alternatively {ATTACK}.",
         "response": f"{ATTACK}\nAnswer: 7"}
        for name in names for teacher in teachers
    ]  # fmt: skip
    # unlike the problems to train on, which otherwise go
    suite = [
        {
            "id": f"e {name}",
            "prompt": f"{number} <script>window.pwned=1</script>",
            "answer": ATTACK,
            "verifier": "exact",
        }
        for number, name in enumerate(names[:2])
    ]
    data = {
        "problems": lines(folder / "problems.jsonl", problems), "traces": lines(folder / "traces.jsonl", traces),
        "suites": {"s": {"problems": lines(folder / "suite.jsonl", suite)}},
    }  # fmt: skip
    recipe = {
        "name": "<img src=x onerror=window.pwned=1> {{ 7 * 7 }}", "model": "lab", "data": data,
        "measure": {"problems": 2, "samples": 4, "max_tokens": 8},
        "curate": {"keep": 0.75}, "evaluate": {"samples": 1, "max_tokens": 8},
        "train": {"objective": "nll", "epochs": 1, "batch_size": 4, "probe_samples": 2},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return folder


def titer(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "titer.cli.main", *command],
        capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium()
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


def test_a_run_on_hostile_files(made: Path, browser: Browser) -> None:
    done = titer("run", str(made / "recipe.yaml"), "--out", str(made / "run"))
    assert done.returncode == 0, done.stderr[-2000:]
    bars = done.stderr.replace("\x1b[", "") if "━" in done.stderr else done.stderr
    assert not OBEYED & set(done.stdout) and not OBEYED - {"\r"} & set(bars)
    browser.open(made / "run" / "report.html")
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.complaints() == []
    assert browser.run(SEEN) == 0
    text = str(browser.run("document.body.textContent"))
    assert "<script>window.pwned=1</script>" in text and "](javascript:alert(1))" in text and "{{ 7 * 7 }}" in text


@pytest.mark.parametrize(
    "command",
    [
        ("traces", "show", "traces.jsonl"),
        ("traces", "compare", "traces.jsonl", "--a", f"A {ATTACK}", "--b", f"B {ATTACK}"),
        ("sft", "lab", "traces.jsonl", "--show"), ("sft", "lab", "traces.jsonl", "--show", "--json"),
        ("traces", "show", "suite.jsonl"),
    ],
)  # fmt: skip
def test_what_verbs_print_of_hostile_files_obeys_nothing(made: Path, command: tuple[str, ...]) -> None:
    done = titer(*(str(made / part) if part.endswith(".jsonl") else part for part in command))
    assert done.returncode == (2 if "suite.jsonl" in command else 0), done.stderr[-2000:]
    assert not OBEYED & set(done.stdout + done.stderr)
