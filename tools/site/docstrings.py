"""Docstrings as the site shows them: a paragraph that is Python becomes a block of code.

The docstrings of the rooms give their use as plain lines, which editors and `help()` show as they are.
"""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import griffe

CODE = (ast.Import, ast.ImportFrom, ast.Assign, ast.For, ast.With, ast.FunctionDef)


class CodeInDocstrings(griffe.Extension):
    """Marks the code in every docstring."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Called for each module, class, function and attribute that is read."""
        if obj.docstring:
            obj.docstring.value = marked(obj.docstring.value)


def marked(docstring: str) -> str:
    """The docstring with fences around its code."""
    return "\n\n".join(_shown(part) for part in paragraphs(docstring))


def paragraphs(docstring: str) -> list[str]:
    """What empty lines separate."""
    return re.split(r"\n[ \t]*\n", inspect.cleandoc(docstring))


def is_code(paragraph: str) -> bool:
    """Whether a paragraph is Python that does something, and no sentence."""
    try:
        lines = ast.parse(inspect.cleandoc(paragraph).replace("…", "...")).body
    except SyntaxError:
        return False
    return any(isinstance(line, CODE) or _calls(line) for line in lines)


def _shown(paragraph: str) -> str:
    return f"```python\n{inspect.cleandoc(paragraph)}\n```" if is_code(paragraph) else paragraph


def _calls(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and any(isinstance(node, ast.Call) for node in ast.walk(line))
