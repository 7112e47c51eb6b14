"""Recipes from YAML, built-in names and `key.sub=value` overrides; mistakes answered with the nearest right key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from titer.errors import InputError
from titer.recipe.schema import Recipe


def builtin_names() -> list[str]:
    """Names of the recipes that come with titer."""
    folder = resources.files("titer.recipe") / "builtin"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file or a built-in name, with overrides such as `train.epochs=3`.

    Raises InputError: no such file or name, broken YAML, an unknown key, a value of the wrong type.
    """
    text, place = _text(source)
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}", file=place, remedy="mend the file") from None
    if not isinstance(tree, dict):
        raise InputError("not a mapping of keys to values", file=place, remedy="start from a built-in recipe")
    for override in overrides:
        _apply(tree, override)
    return parse_recipe(tree, place)


def parse_recipe(tree: Mapping[str, Any], place: str = "recipe") -> Recipe:
    """A validated recipe from plain data."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, place) from None


def parse_block(name: str, settings: Sequence[str]) -> Any:
    """One block of the recipe (`train`, `measure`, `evaluate`) from `key=value` settings, the rest at its defaults.

    Raises InputError as `load_recipe` does.
    """
    tree: dict[str, Any] = {"model": "", "data": {}}
    for setting in settings:
        _apply(tree, f"{name}.{setting}")
    return getattr(parse_recipe(tree, "settings"), name)


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every value written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _text(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise InputError("no such file", file=path, remedy="give the path of a recipe")
        return path.read_text(encoding="utf-8"), str(path)
    names = builtin_names()
    if str(source) not in names:
        raise InputError(
            f"no recipe called {str(source)!r}{_nearest(str(source), names)}",
            remedy=f"give a .yaml file or one of: {', '.join(names)}",
        )
    return (resources.files("titer.recipe") / "builtin" / f"{source}.yaml").read_text(encoding="utf-8"), str(source)


def _apply(tree: dict[str, Any], override: str) -> None:
    """Set one dotted key, making the blocks on its way."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise InputError(f"{override!r} is not key=value", remedy="write for example train.epochs=3")
    *blocks, last = key.split(".")
    node = tree
    for block in blocks:
        if not isinstance(node.get(block), dict):
            node[block] = {}
        node = node[block]
    node[last] = _scalar(value)


def _scalar(value: str) -> Any:
    """A YAML value; 1e-3 is a number here as it is everywhere but in YAML 1.1."""
    try:
        return float(value) if "e" in value.lower() and not value.lower().startswith("0x") else yaml.safe_load(value)
    except (ValueError, yaml.YAMLError):
        return yaml.safe_load(value)


def _explain(error: ValidationError, place: str) -> InputError:
    """The first mistake as one line."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        return InputError(
            f"unknown key{_nearest(path[-1], known)}",
            file=place,
            field=key,
            remedy=f"known here: {', '.join(known)}",
        )
    given = repr(first["input"])[:60]
    message = first["msg"][0].lower() + first["msg"][1:]
    return InputError(f"{message}, got {given}", file=place, field=key, remedy="change this value")


def _fields_at(path: Sequence[str]) -> list[str]:
    """The keys that the block at `path` has."""
    block: type[BaseModel] = Recipe
    for part in path:
        field = block.model_fields.get(part)
        inner = _block_of(field.annotation) if field else None
        if inner is None:
            return []
        block = inner
    return list(block.model_fields)


def _block_of(annotation: Any) -> type[BaseModel] | None:
    """The recipe block inside an annotation such as `Lora | None` or `dict[str, Suite]`."""
    if get_origin(annotation) in (Union, UnionType, dict):
        found = [_block_of(part) for part in get_args(annotation) if part is not NoneType]
        return next((part for part in found if part), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
