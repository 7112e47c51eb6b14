"""The code on the documentation's pages: found, and run by the command line or stopped before the work.

for block in blocks(Path("docs/traces.md")):
    block.language, block.line, block.text
"""

from __future__ import annotations

import inspect
import io
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, Never

import pytest

from titer.cli.main import main

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(`{3,})([a-z]*)(?: +(.*))?$")


class Block(NamedTuple):
    """One fenced block."""

    language: str
    line: int
    text: str
    title: str = ""


class Reached(Exception):
    """The command line has read everything, and would now work."""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found, lines = list[Block](), page.read_text(encoding="utf-8").splitlines()
    opened: tuple[str, str, str, int] | None = None
    for number, line in enumerate(lines, 1):
        matched = FENCE.match(line)
        if opened and line.strip() == opened[0]:
            title = re.search(r'title="([^"]+)"', opened[2])
            text = "\n".join(lines[opened[3] : number - 1])
            found.append(Block(opened[1], opened[3], text, title[1] if title else ""))
            opened = None
        elif not opened and matched:
            opened = (matched[1], matched[2], matched[3] or "", number)
    assert opened is None, f"{page}, line {opened[3] if opened else 0}: a block that does not end"
    return found


def inline(page: Path) -> list[str]:
    """What stands in the running text between backticks."""
    outside = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+", " ", code.replace("\\|", "|")) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", outside)]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command; what is optional, in brackets, is there."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(re.sub(r" \[(--[^\]]*)\]", r" \1", line), comments=True)
        if words:
            yield words


def call(arguments: list[str]) -> tuple[int, str]:
    """Exit status and output of `titer ARGUMENTS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.setattr(sys, "argv", ["titer", *arguments])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue() + err.getvalue()


def read(arguments: list[str]) -> str:
    """The verb that `titer ARGUMENTS` reaches once options, settings and recipe are read; the refusal otherwise."""
    with pytest.MonkeyPatch.context() as patched:
        for owner, name in _functions():
            patched.setattr(owner, name, _stop(f"{owner.__name__}.{name}", getattr(owner, name)))
        try:
            return f"refused: {call(arguments)[1]}"
        except Reached as reached:
            return str(reached)


def stand_in(folder: Path, words: list[str], checkpoints: Path) -> list[str]:
    """The words with checkpoints that exist: the last one there is, or the one that is given."""
    return [_existing(folder, word, checkpoints) for word in words]


def _existing(folder: Path, word: str, checkpoints: Path) -> str:
    matched = re.fullmatch(r"(.*/checkpoints)/step-\d{6}", word)
    if not matched or (folder / word).exists():
        return word
    there = folder / matched[1]
    if not there.exists():
        shutil.copytree(checkpoints, there)
    return f"{matched[1]}/{max(step.name for step in there.iterdir())}"


def _functions() -> Iterator[tuple[Any, str]]:
    """Where the command line finds what does the work."""
    import titer.lab
    import titer.lab.build
    import titer.reproduce
    import titer.verbs
    import titer.verbs.traces

    for owner in (titer.verbs, titer.verbs.traces, titer.reproduce):
        yield from ((owner, name) for name in owner.__all__ if inspect.isfunction(getattr(owner, name)))
    yield from ((titer.lab, "make"), (titer.lab.build, "build"))


def _stop(name: str, function: Any) -> Any:
    signature = inspect.signature(function)

    def stopped(*args: Any, **settings: Any) -> Never:
        signature.bind(*args, **settings)
        raise Reached(name)

    return stopped


def arguments_of(environment: Mapping[str, str], text: str) -> str:
    """The text with addresses and names that only the test knows in place of those of the page."""
    for there, here in environment.items():
        text = text.replace(there, here)
    return text
