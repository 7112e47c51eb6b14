"""Recipes from YAML, built-in names and `key.sub=value` overrides; mistakes answered with the nearest right key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from titer.errors import InputError
from titer.recipe.generate import Generate
from titer.recipe.schema import Recipe


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with the numbers of 1.2, in which 1e-3 is one and neither 1:30 (90, in base 60) nor 0100 (64) is, and in
    which a key that comes twice is a mistake: of two blocks of one name the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As YAML has it. Raises ValueError for a key that comes twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ValueError(f"the key {key.value!r} comes twice, again in line {key.start_mark.line + 1}")
            seen |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
        return super().construct_mapping(node, deep)


_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$",
    "tag:yaml.org,2002:float": r"(?:[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$",
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list("-+.0123456789"))


class _Dumper(yaml.SafeDumper):
    """Quotes what is a number to YAML 1.1 or to `_Loader`, and is text."""


for _tag, _pattern in _NUMBERS.items():
    _Dumper.add_implicit_resolver(_tag, re.compile(_pattern), list("-+.0123456789"))


BUDGETS = ("epochs", "updates", "tokens", "hours")


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
        tree = _parsed(text)
    except ValueError as error:
        raise InputError(f"not YAML: {error}", file=place, remedy="mend the file") from None
    if not isinstance(tree, dict):
        raise InputError("not a mapping of keys to values", file=place, remedy="start from a built-in recipe")
    for override in overrides:
        _apply(tree, override)
    _replace_budget(tree, overrides)
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
    _replace_budget(tree, [f"{name}.{setting}" for setting in settings])
    return getattr(parse_recipe(tree, "settings"), name)


def parse_sampled(name: str, settings: Sequence[str]) -> tuple[Any, Generate]:
    """A block of the recipe, and what samples for it: settings that begin with `generate.` are that block's.

    Raises InputError as `load_recipe` does.
    """
    sampling = [setting for setting in settings if setting.startswith("generate.")]
    own = [setting for setting in settings if setting not in sampling]
    generate = parse_block("generate", [setting.removeprefix("generate.") for setting in sampling])
    return parse_block(name, own), generate


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every value written out."""
    return yaml.dump(recipe.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _text(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise InputError("no such file", file=path, remedy="give the path of a recipe")
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except UnicodeDecodeError:
            raise InputError("not UTF-8 text", file=path, remedy="save the recipe as UTF-8") from None
    names = builtin_names()
    if str(source) not in names and (path.is_dir() or path.suffix == ".gguf"):
        raise InputError("a model, where a recipe belongs", file=path, remedy=f"say: quickstart model={source}")
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
    node[last] = _scalar(override, value)


def _replace_budget(tree: dict[str, Any], overrides: Sequence[str]) -> None:
    """Leave out the file's budget of training where an override names another, which would have no effect beside it.

    Raises InputError for overrides that name two.
    """
    train = tree.get("train")
    if not isinstance(train, dict):
        return
    if train.get("epochs", 1) is None:  # as for the other budgets: not this one
        del train["epochs"]
    told = {override.partition("=")[0].removeprefix("train.") for override in overrides}
    named = [budget for budget in BUDGETS if budget in told and train.get(budget) is not None]
    if len(named) > 1:
        fault = f"{' and '.join(named)} exclude each other"
        raise InputError(fault, field="train", remedy="give one budget")
    # epochs say themselves how often each trace is shown
    replaced = {*BUDGETS, *(["repetition"] if named == ["epochs"] else [])} if named else set[str]()
    for name in replaced - told:
        train.pop(name, None)


def _scalar(override: str, value: str) -> Any:
    try:
        return _parsed(value)
    except ValueError:
        raise InputError(
            f"{override[:60]!r}: what follows = is not YAML",
            remedy="quote it, or write for example train.lora={rank: 8}",
        ) from None


def _parsed(text: str) -> Any:
    """A YAML value. Raises ValueError: broken YAML, an impossible date, a number of thousands of digits."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error) or "nested too deeply") from None


def _explain(error: ValidationError, place: str) -> InputError:
    """The first mistake as one line; a misspelt key before the missing one that it stands for."""
    mistakes = error.errors()
    first = next((mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"), mistakes[0])
    path = [str(part) for part in first["loc"]]
    key = ".".join(path[: _depth(path)])
    if first["type"] == "extra_forbidden":
        known = list(_annotation_at(path[:-1]).model_fields)
        return InputError(
            f"unknown key{_nearest(path[-1], known)}",
            file=place,
            field=".".join(path),
            remedy=f"known here: {', '.join(known)}",
        )
    given = "" if isinstance(first["input"], dict) else f", got {repr(first['input'])[:60]}"
    if first["type"] == "model_type":
        fields = _annotation_at(path).model_fields
        remedy = f"known here: {', '.join(fields)}"
        if needed := [name for name, field in fields.items() if field.is_required()]:
            remedy = f"it needs {' and '.join(needed)}; {remedy}"
        return InputError(f"keys and values belong here{given}", file=place, field=key, remedy=remedy)
    message = (first["msg"][0].lower() + first["msg"][1:]).replace("valid tuple", "list")  # as YAML calls it
    return InputError(f"{message}{given}", file=place, field=key, remedy="change this value")


def _depth(path: Sequence[str]) -> int:
    """How much of a pydantic location names keys; the members of a union stand behind them."""
    return next((i for i in range(len(path)) if _annotation_at(path[:i]) is None), len(path))


def _annotation_at(path: Sequence[str]) -> Any:
    """The type that the recipe has at `path`: a block, a mapping, or None for a value without parts."""
    here: Any = Recipe
    for part in path:
        here = _with_parts(_part(here, part))
    return here


def _part(annotation: Any, key: str) -> Any:
    """The type of `key` in a block, or of any value of a mapping."""
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    field = annotation.model_fields.get(key) if annotation else None
    return field.annotation if field else None


def _with_parts(annotation: Any) -> Any:
    """The block or mapping in an annotation such as `Lora | None`, else None."""
    if get_origin(annotation) in (Union, UnionType):
        return next((found for part in get_args(annotation) if (found := _with_parts(part))), None)
    is_block = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_block or get_origin(annotation) is dict else None


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
