"""The pages of the Python API: each room's public names, told by their docstrings.

for room in ROOMS:
    write(f"api/{room.removeprefix('titer.')}.md", page(room))
"""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
ROOMS = (
    "titer.verbs",
    "titer.verbs.traces",
    "titer.records",
    "titer.recipe",
    "titer.objectives",
    "titer.traces",
    "titer.verify",
    "titer.generate",
    "titer.measure",
    "titer.evaluate",
    "titer.dynamics",
    "titer.judges",
    "titer.train",
    "titer.stages",
    "titer.lab",
    "titer.reproduce",
)
BESIDES = {"titer.lab": ["titer.lab.build.build"]}  # verbs of a module that the room does not import


def public(room: str) -> list[str]:
    """The names in `__all__` of a room, without importing it."""
    tree = ast.parse((SOURCE.joinpath(*room.split(".")) / "__init__.py").read_text(encoding="utf-8"))
    found = [node.value for node in tree.body if isinstance(node, ast.Assign) and _names(node) == ["__all__"]]
    return list(ast.literal_eval(found[0]))


def file(room: str) -> str:
    """Name of a room's page."""
    return room.removeprefix("titer.")


def page(room: str) -> str:
    """The room's own docstring, then each public name's, functions first."""
    ordered = sorted(public(room), key=lambda name: not name[0].islower())
    names = [f"{room}.{name}" for name in ordered] + BESIDES.get(room, [])
    shown = ("members: []", "show_root_heading: false", "show_root_toc_entry: false")
    head = f"# {room}\n\n::: {room}\n    options:\n" + "".join(f"      {option}\n" for option in shown)
    return head + "".join(f"\n::: {name}\n" for name in names)


def _names(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]
