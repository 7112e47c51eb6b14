"""A page for each verb, made from its help: what `titer VERB --help` says, and where the rest is told.

for verb in verbs():
    write(f"verbs/{verb.file}.md", page(verb))
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import typer

from titer.cli.main import app

# the block of the recipe whose fields a verb takes as key=value; what click cannot know
BLOCKS = {
    "run": "Recipe",
    "doctor": "Recipe",
    "sft": "Train",
    "measure": "Measure",
    "eval": "Evaluate",
    "route": "Route",
    "bridge": "Bridge",
    "rl": "Rl",
    "critique": "Critique",
}
SAMPLED = {"measure", "eval", "bridge", "critique"}  # these take generate.* besides
PLACES = {"lab make": "titer.lab.make", "lab build": "titer.lab.build.build", "reproduce": "titer.reproduce.reproduce"}
# the page on which a verb's finding or files are told
TOLD = {
    "run": ("recipe", "the recipe"),
    "doctor": ("scaling", "beyond one machine"),
    "report": ("verbs", "what a run leaves"),
    "sft": ("repetition", "how long"),
    "measure": ("routing", "solve rates and the router"),
    "eval": ("judging", "when to judge, and on what"),
    "route": ("routing", "solve rates and the router"),
    "bridge": ("stages", "bridge, RL, critique, rounds"),
    "rl": ("stages", "bridge, RL, critique, rounds"),
    "critique": ("stages", "bridge, RL, critique, rounds"),
    "judge": ("judging", "when to judge, and on what"),
    "verdict": ("judging", "when to judge, and on what"),
    "reproduce": ("verbs", "reproduce a finding"),
    "lab": ("index", "start here"),
    "traces": ("traces", "which traces teach"),
}
KINDS = {str: "text", int: "whole number", float: "number", Path: "path", bool: "switch"}


class Verb(NamedTuple):
    """One command: its name behind `titer`, and what the command line knows of it."""

    name: str
    command: Any

    @property
    def file(self) -> str:
        """Name of its page."""
        return self.name.replace(" ", "-")

    @property
    def function(self) -> str:
        """The Python function of the same name."""
        return PLACES.get(self.name, f"titer.verbs.{self.name.replace(' ', '.')}")


def verbs() -> list[Verb]:
    """Every verb that `titer --help` and the help of its groups show."""
    return list(_walk(typer.main.get_command(app), ""))


def examples(verb: Verb) -> list[str]:
    """The commands that its help gives as examples."""
    return re.findall(r"`([^`]+)`", _help(verb)[1])


def page(verb: Verb) -> str:
    """The verb's page."""
    arguments = [one for one in verb.command.params if one.param_type_name == "argument"]
    options = [one for one in verb.command.params if one.param_type_name == "option" and not one.hidden]
    parts = [
        f"# titer {verb.name}",
        _help(verb)[0],
        "```text\n" + _usage(verb, arguments) + "\n```",
        "```bash\n" + "\n".join(examples(verb)) + "\n```",
        *_table("Arguments", verb, arguments),
        *_table("Options", verb, options),
        _settings(verb),
        f"## In Python\n\n[`{verb.function}`][{verb.function}]",
    ]
    return "\n\n".join(part for part in parts if part) + "\n\n" + _more(verb) + "\n"


def _walk(group: Any, prefix: str) -> Iterator[Verb]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _walk(command, f"{prefix}{name} ")
        else:
            yield Verb(prefix + name, command)


def _help(verb: Verb) -> tuple[str, str]:
    """What it does, and the paragraph of examples."""
    what, _, shown = inspect.cleandoc(verb.command.help).partition("\n\nExample:")
    return "\n\n".join(" ".join(part.split()) for part in what.split("\n\n")), shown


def _usage(verb: Verb, arguments: Sequence[Any]) -> str:
    names = [one.metavar or one.name.upper() for one in arguments]
    shown = [name if one.required or one.metavar else f"[{name}]" for name, one in zip(names, arguments, strict=True)]
    return " ".join(["titer", verb.name, *shown, "[OPTIONS]"])


def _table(title: str, verb: Verb, params: Sequence[Any]) -> Iterator[str]:
    if params:
        hints = get_type_hints(inspect.unwrap(verb.command.callback), include_extras=True)
        rows = [_row(one, hints.get(one.name)) for one in params]
        yield f"## {title}\n\n| | type | default | |\n|---|---|---|---|\n" + "\n".join(rows)


def _row(param: Any, hint: Any) -> str:
    is_option = param.param_type_name == "option"
    names = [*param.opts, *param.secondary_opts] if is_option else [param.metavar or param.name.upper()]
    cells = [" ".join(f"`{name}`" for name in names), _kind(hint), _default(param), _escaped(param.help or "")]
    return "| " + " | ".join(cells) + " |"


def _kind(hint: Any) -> str:
    """The type in words, with its bounds."""
    info = next((part for part in getattr(hint, "__metadata__", ())), None)
    inner = [one for one in _flat(hint) if one is not type(None)]
    many = any(get_origin(one) is list for one in inner)
    base = next((KINDS[one] for one in [*inner, *(a for one in inner for a in get_args(one))] if one in KINDS), "text")
    bounds = [f"{sign} {bound}" for sign, bound in (("≥", _bound(info, "min")), ("≤", _bound(info, "max"))) if bound]
    return ", ".join([base, *bounds, *(["any number of them"] if many else [])])


def _flat(hint: Any) -> list[Any]:
    """The members of a union inside of Annotated."""
    bare = getattr(hint, "__origin__", hint) if hasattr(hint, "__metadata__") else hint
    return list(get_args(bare)) if type(None) in get_args(bare) else [bare]


def _bound(info: Any, which: str) -> str:
    value = getattr(info, which, None)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value}"


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if isinstance(param.default, bool):
        return "on" if param.default else "off"
    return "–" if param.default in (None, "") else f"`{param.default}`"


def _escaped(text: str) -> str:
    """Text that ends no cell and begins no tag or placeholder."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("[.gz", "\\[.gz").strip()


def _settings(verb: Verb) -> str:
    block = BLOCKS.get(verb.name)
    if not block:
        return ""
    several = verb.name in SAMPLED
    where = "behind `--set`, each" if verb.name == "eval" else "each"
    also = ", and `generate.KEY=VALUE` any of [`Generate`][titer.recipe.Generate]" if several else ""
    if block == "Recipe":
        return "## Settings\n\n`KEY=VALUE` overrides any key of the [recipe](../recipe.md), such as `train.epochs=3`."
    fields = f"a field of [`{block}`][titer.recipe.{block}] with its default there{also}"
    return f"## Settings\n\n`KEY=VALUE`, {where} {fields}."


def _more(verb: Verb) -> str:
    file, title = TOLD[verb.name if verb.name in TOLD else verb.name.split()[0]]
    return f"More: [{title}](../{file}.md)."
