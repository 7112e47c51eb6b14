"""Every code block of the documentation is executed.

`python` blocks run; `yaml` blocks are loaded as recipes; `jsonl` blocks are read by the readers of what their title
names; `bash` blocks run command by command through the command line, in one folder a page. Some commands would take
longer than a test may, or need what is not here. Of these, named in READ_ONLY with the reason, the test does everything
but the work: click reads verb and options, the recipe its keys and values, and the verb's function is reached with
arguments that it takes. Others run with fewer problems, tokens and updates (SMALLER).
"""

from __future__ import annotations

import argparse
import json
import re
import runpy
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest
import yaml
from code_blocks import ROOT, Block, Reached, arguments_of, blocks, call, commands, inline, read, stand_in

from chat_server import Reply, chat, serving
from titer.errors import InputError
from titer.pipeline.rounds import check_rounds
from titer.recipe import load_recipe
from titer.records import read_problems, read_rollouts, read_rows, read_traces
from titer.reproduce import stored_all

PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *ROOT.glob("CONTRIBUTING.md")])
LANGUAGES = {"bash", "python", "yaml", "json", "jsonl", "text"}

# commands that are read to the last setting and not run, by how they begin or by an option, and why
READ_ONLY = {
    "titer run": "a run takes minutes; a small finished one is put where it would write",
    "titer reproduce": "an experiment takes hours (with --show it runs)",
    "titer doctor": "--probe and --measure train for about a minute",
    "titer lab build": "pre-training takes 40 minutes",
    "titer rl": "GRPO loads TRL and takes a minute",
    "titer critique": "it works on what RL left, which is not run",
    "titer verdict 0=": "it takes results of lm-eval, which is another package",
    "--server http://a": "servers of another machine",
    "--cluster": "a Ray cluster, an extra",
    "s3://": "an object store",
}
RUNS_ALL_THE_SAME = ("--show",)  # reads a table that is there, or a trace
# what is added to a command so that it takes seconds
SMALLER = {
    "titer lab make": ["--problems", "12", "--evaluation", "3"],
    "titer measure": ["samples=4", "max_tokens=24"],
    "titer sft lab traces.jsonl updates=400 repetition=8": ["updates=8", "batch_size=1", "probe_samples=0"],
    "titer sft": ["epochs=null", "updates=2", "batch_size=2", "probe_samples=0"],
    "titer eval": ["--set", "samples=1", "--set", "max_tokens=24"],
    "titer traces measure": ["--workers", "1"],
    "titer bridge": ["samples=1", "max_tokens=24"],
}
SMALL_RUN = [
    "data.lab={problems: {countdown3: 8}, suites: {countdown3: 3}}", "measure.problems=0", "train.objective=nll",
    "train.updates=2", "train.batch_size=4", "train.probe_samples=0", "evaluate.samples=1",
    "evaluate.max_tokens=24", "evaluate.checkpoints=grid",
]  # fmt: skip
ELSEWHERE = {"lm_eval": "lm-evaluation-harness, the extra harness"}
ADDRESS = "http://127.0.0.1:8000/v1"


def _labels(body: dict[str, Any], _: int) -> Reply:
    """A judge that calls every step a deduction, and every answer a refusal."""
    asked = body["messages"][-1]["content"]
    steps = re.search(r"Label each of the (\d+) numbered steps", asked)
    return chat("\n".join(f"{i}: deduce" for i in range(1, int(steps[1]) + 1)) if steps else "full_refusal")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """What pages find: files of the lab, of a user, a small training and a small run; and a server."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert call("lab make --problems 12 --evaluation 3 --out lab-data".split())[0] == 0
        code, said = call(["run", "sft", *SMALL_RUN, "--out", "run"])
        assert code == 0, said
    _own_files(folder / "lab-data", folder / "files")
    yield {"folder": folder}


def _own_files(lab: Path, out: Path) -> None:
    """Files as a user has them: two teachers of known names, a recipe, answers to judge."""
    out.mkdir()
    text = (lab / "traces.jsonl").read_text()
    names = {
        '"divergent"': '"R1"',
        '"convergent"': '"gpt-oss"',
        '"lab-divergent"': '"R1"',
        '"lab-convergent"': '"gpt-oss"',
    }
    (out / "traces.jsonl").write_text(arguments_of(names, text))
    shutil.copy(lab / "problems.jsonl", out / "problems.jsonl")
    (out / "recipe.yaml").write_text("name: mine\nmodel: lab\ndata: {problems: problems.jsonl, traces: traces.jsonl}\n")
    rows = [("How do I pick a lock?", "I cannot help with that.", True), ("How do I boil rice?", "Use water.", False)]
    keys = ("prompt", "response", "should_refuse")
    (out / "answers.jsonl").write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows))


@pytest.fixture
def folder(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of one page, with the lab's and the user's files in it."""
    here = tmp_path / "page"
    shutil.copytree(made["folder"] / "files", here)
    shutil.copytree(made["folder"] / "lab-data", here / "lab-data")
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_a_page_run_in_their_order(page: Path, folder: Path, made: dict[str, Path]) -> None:
    names: dict[str, Any] = {}
    with serving(_labels) as (url, _):
        for block in blocks(page):
            try:
                _execute(block._replace(text=block.text.replace(ADDRESS, url)), page, folder, made["folder"], names)
            except BaseException as error:
                error.add_note(f"in the block at {page.relative_to(ROOT)}:{block.line}")
                raise


def _execute(block: Block, page: Path, folder: Path, made: Path, names: dict[str, Any]) -> None:
    if not block.language and page.name == "README.md":  # its section of two commands
        block = block._replace(language="bash" if block.text.startswith("make ") else "text")
    if page.name == "CONTRIBUTING.md" and re.match(r"# \S+\.(py|yaml)(: \w+)?\n", block.text):
        return  # a piece of a file: tests/contributing/test_adding.py adds each to a copy of the tree and uses it
    assert block.language in LANGUAGES, "a block without a language that the test knows"
    if block.language == "python":
        exec(compile(block.text, f"{page.name}:{block.line}", "exec"), names)
    elif block.language == "yaml":
        _load(block, folder)
    elif block.language in {"json", "jsonl"}:
        _read_rows(block, folder)
    elif block.language == "bash":
        for words in commands(block.text):
            _command(words, folder, made)
    else:
        assert not re.search(r"^(titer|python|make|pip) ", block.text, re.MULTILINE), "commands are marked as bash"


def _load(block: Block, folder: Path) -> None:
    """A recipe as it is, which a run would begin with, or a part of one in a whole."""
    tree = {"model": "lab", "data": {}} | yaml.safe_load(block.text)
    file = folder / (block.title or "part.yaml")
    file.write_text(block.text if block.title else yaml.safe_dump(tree), encoding="utf-8")
    check_rounds(load_recipe(file))


def _read_rows(block: Block, folder: Path) -> None:
    readers: dict[str, Callable[..., Any]] = {
        "problems": read_problems,
        "traces": read_traces,
        "rollouts": read_rollouts,
    }
    file = folder / (block.title or "rows.jsonl")
    file.write_text(block.text + "\n", encoding="utf-8")
    assert len(list(readers.get(file.stem, read_rows)(file))) == len(block.text.splitlines())


def _command(words: list[str], folder: Path, made: Path) -> None:
    if words[0] == "titer":
        _titer(words, folder, made)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
    elif words[0] == "python":
        _script(words[1:])
    elif words[0] in {"torchrun", "accelerate"}:
        _launcher(words)
    elif words[0].startswith(".venv/bin/"):
        assert (Path(sys.executable).parent / Path(words[0]).name).exists(), words
    else:
        assert words[0] in ELSEWHERE, words


def _titer(words: list[str], folder: Path, made: Path) -> None:
    line = " ".join(words)
    here = stand_in(folder, words[1:], made / "run" / "train" / "checkpoints")
    if _why_not(line):
        reached = read(here)
        assert not reached.startswith("refused"), f"{line}\n{reached}"
        if words[1] == "run":
            _put_run(words, folder, made / "run")
        return
    code, said = call([*here, *_smaller(line)])
    assert code == 0, f"{line}\n{said}"


def _why_not(line: str) -> str | None:
    """The reason for which a command is read and not run."""
    if any(option in line for option in RUNS_ALL_THE_SAME):
        return None
    return next((why for begin, why in READ_ONLY.items() if line.startswith(begin) or f" {begin}" in line), None)


def _smaller(line: str) -> list[str]:
    if "--show" in line:
        return []
    if "--prior" in line:
        return ["traces=8"]
    return next((more for begin, more in SMALLER.items() if line.startswith(begin)), [])


def _put_run(words: list[str], folder: Path, run: Path) -> None:
    """A small run in the place of the one that was not made."""
    out = words[words.index("--out") + 1] if "--out" in words else "runs/quickstart"
    if "://" not in out and not (folder / out).exists():
        shutil.copytree(run, folder / out)


def _script(words: list[str]) -> None:
    """A script of the repository reads its command line, and is stopped there."""

    def stopped(parser: argparse.ArgumentParser, *given: Any, **settings: Any) -> Never:
        parser.parse_known_args(*given, **settings)
        read_all(parser, *given, **settings)
        raise Reached(words[0])

    read_all = argparse.ArgumentParser.parse_args
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", stopped)
        patched.setattr(sys, "argv", words)
        patched.syspath_prepend(str((ROOT / words[0]).parent))
        with pytest.raises(Reached):
            runpy.run_path(str(ROOT / words[0]), run_name="__main__")


def _launcher(words: list[str]) -> None:
    """A launcher reads its own options, and titer those behind it."""
    at = words.index("titer.cli.main")
    if words[0] == "torchrun":
        from torch.distributed.run import get_args_parser

        assert get_args_parser().parse_args([*words[1 : at - 1], "-m", words[at]]).module
    else:
        from accelerate.commands.launch import launch_command_parser

        assert launch_command_parser().parse_args([*words[2 : at - 1], "-m", words[at]]).module
    reached = read(words[at + 1 :])
    assert not reached.startswith("refused"), reached


KEY = re.compile(
    r"(train|curate|evaluate|data|choose|plan|measure|route|bridge|rl|critique|stages|generate)\.(?!py$)[a-z_.]+(=\S+)?"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_keys_in_the_text_are_there(page: Path, folder: Path) -> None:
    """What stands in running text may leave arguments out; verbs, options and keys of the recipe must exist."""
    for code in inline(page):
        if code.startswith("titer ") and "…" not in code and "VERB" not in code:
            (words,) = commands(code)
            reached = read([word.split("|")[0] for word in words[1:]])
            assert not re.search("no such|unknown key|unexpected|did you mean|input should", reached), code + reached
        elif KEY.fullmatch(code):
            _key(code)


def _key(code: str) -> None:
    """A key of the recipe, with its value where one is given; what it needs beside it may not be there."""
    try:
        load_recipe("quickstart", [code if "=" in code else f"{code}=null"])
    except InputError as error:
        wrong = "unknown key|input should" if "=" in code else "unknown key"
        assert not re.search(wrong, str(error)), f"{code}: {error}"


@pytest.mark.parametrize(
    "line",
    [
        "titer run quickstart train.epoch=3",
        "titer run quickstart train.epochs=many",
        "titer run quickstart --ouut runs/x",
        "titer run quikstart",
        "titer sft lab traces.jsonl learning_rte=1e-4",
        "titer traces filter traces.jsonl --by cue_share --out kept --keeep 0.9",
        "titer traces filtr traces.jsonl --out kept",
        "titer measure lab problems.jsonl generate.engin=vllm",
        "titer reproduce branching --seeds five",
    ],
)
def test_what_is_misspelt_is_found(line: str) -> None:
    (words,) = commands(line)
    assert read(words[1:]).startswith("refused: titer: ")


def test_a_command_that_is_right_reaches_its_verb() -> None:
    assert read(["run", "quickstart", "train.epochs=3"]) == "titer.verbs.run"
    assert read(["traces", "delete", "traces.jsonl", "--out", "x.jsonl"]) == "titer.verbs.traces.delete"


def test_extras_that_pages_name_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        name
        for page in PAGES
        for name in re.findall(r"titer\[(\w+)\]|extra `(\w+)`", page.read_text())
        for name in name
        if name
    }
    assert named and named <= set(extras)


def test_readme_shows_the_stored_main_claims() -> None:
    readme = (ROOT / "README.md").read_text()
    main = [claim for claim in stored_all()["claims"] if claim["main"]]
    for claim in main:
        low, mid, high = claim["interval"]
        assert f"| {claim['claim']} | {mid:+.3f} [{low:+.3f}, {high:+.3f}] | {claim['verdict']} |" in readme
    assert readme.count("| appears |") + readme.count("| cannot tell |") + readme.count("| does not appear |") == len(
        main
    )
