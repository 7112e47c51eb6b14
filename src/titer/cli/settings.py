"""The settings that a verb takes as key=value, listed at the end of its help.

@app.command(cls=listing("train", but={"launch"}))

They come from the recipe's blocks, which are imported when somebody asks for help and not before.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from typer.core import TyperCommand


def listing(block: str, *, but: Collection[str] = (), sampled: bool = False) -> type[TyperCommand]:
    """A command whose help names the settings of a block, `but` those that its verb refuses, with their defaults.

    `sampled`: it takes those of `generate` too, under that name.
    """

    class Listing(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            from titer.recipe import Recipe

            names = [*_settings(block, but), *(f"generate.{one}" for one in _settings("generate") if sampled)]
            told = type(Recipe.model_fields[block].default).__module__
            self.epilog = f"Settings and their defaults: {', '.join(names)}. {told} says what each does."
            super().format_help(ctx, formatter)

    return Listing


def _settings(block: str, but: Collection[str] = ()) -> list[str]:
    """Each as key=default; what is a block of its own by its name alone."""
    from pydantic import BaseModel

    from titer.recipe import Recipe

    whole = Recipe.model_fields[block].default
    values = {name: getattr(whole, name) for name in type(whole).model_fields if name not in but}
    return [name if isinstance(value, BaseModel) else f"{name}={_typed(value)}" for name, value in values.items()]


def _typed(value: Any) -> str:
    """A value as one types it: text bare, the rest as JSON, which YAML is too."""
    return (value or "''") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
