"""The site as `make docs` builds it: strict, with a page for each verb and public name, and nothing fetched."""

from __future__ import annotations

import ast
import hashlib
import html
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from code_blocks import ROOT, commands, read

from titer.reproduce.experiment import NAMES
from titer.reproduce.tables import TABLES

sys.path.insert(0, str(ROOT / "tools" / "site"))  # the modules that make pages
import api

import verbs

docstrings = pytest.importorskip("docstrings", reason="needs the extra docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_verb_has_a_page_with_its_options(site: Path) -> None:
    assert len(verbs.verbs()) > 20
    for verb in verbs.verbs():
        text = html.unescape(re.sub(r"<[^>]+>", "", (site / "verbs" / f"{verb.file}.html").read_text()))
        for param in verb.command.params:
            assert all(option in text for option in param.opts if option.startswith("--")), verb.name
        assert all(example in text for example in verbs.examples(verb)), verb.name


def test_every_public_name_is_told(site: Path) -> None:
    for room in api.ROOMS:
        text = (site / "api" / f"{api.file(room)}.html").read_text()
        assert all(f'id="{room}.{name}"' in text for name in api.public(room)), room


def test_nothing_is_fetched(site: Path) -> None:
    for page in site.rglob("*.html"):
        found = re.findall(
            r"<(?:script|img|iframe|source)[^>]+src=\"?https?:|<link[^>]+href=\"?https?:", page.read_text()
        )
        assert not found, page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:|@import", style.read_text()), style


@pytest.mark.parametrize("verb", verbs.verbs(), ids=lambda verb: verb.name)
def test_examples_of_the_help_reach_their_verb(
    verb: verbs.Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert verbs.examples(verb)
    for example in verbs.examples(verb):
        (words,) = commands(example)
        assert not read(words[1:]).startswith("refused"), example


@pytest.mark.parametrize("room", api.ROOMS)
def test_code_in_docstrings_names_what_is_there(room: str) -> None:
    """Imports are done; calls of titer's functions, found by name, take the arguments that they are shown with."""
    module = importlib.import_module(room)
    told = [module, *(getattr(module, name) for name in api.public(room))]
    for one in told:
        docstring = inspect.getdoc(one) if inspect.ismodule(one) or hasattr(one, "__doc__") else None
        for part in docstrings.paragraphs(docstring or ""):
            if docstrings.is_code(part):
                _check(inspect.cleandoc(part).replace("…", "..."), dict(vars(module)))


def _check(code: str, names: dict[str, Any]) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), "docstring", "exec"), names)
    for node in ast.walk(ast.parse(code)):
        called = _found(node.func, names) if isinstance(node, ast.Call) else None
        if inspect.isfunction(called) and called.__module__.startswith("titer"):
            given = [
                one for one in node.args if not isinstance(one, ast.Starred | ast.Constant) or one.value is not ...
            ]
            inspect.signature(called).bind_partial(*given, **{one.arg: 0 for one in node.keywords if one.arg})


def _found(node: ast.expr, names: dict[str, Any]) -> Any:
    """The object that a name or a chain of attributes stands for."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    return getattr(_found(node.value, names), node.attr, None) if isinstance(node, ast.Attribute) else None


def test_sentences_are_no_code() -> None:
    shown = docstrings.marked("Reads traces. No torch.\n\n    found = read(x)  # …\n\nOne.")
    assert shown == "Reads traces. No torch.\n\n```python\nfound = read(x)  # …\n```\n\nOne."


def test_figures_are_of_todays_tables() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    for name in NAMES:
        text = (ROOT / "docs" / "figures" / f"{name}.svg").read_text()
        table = hashlib.sha256((TABLES / f"{name}.json").read_bytes()).hexdigest()
        assert table in text, f"{name}.svg is of another table: make figures"
        assert len(text.encode()) < 60_000 and f"(figures/{name}.svg)" in pages


def test_traps_name_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "traps.md").read_text())
    assert len(named) > 30
    for file, test in named:
        functions = [x.name for x in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(x, ast.FunctionDef)]
        assert test in functions, f"{file}::{test}"
