"""Settings that a verb has no use for: refused, not passed over."""

from __future__ import annotations

from collections.abc import Collection

from titer.errors import InputError
from titer.recipe import Block


def refuse_idle(given: Block | None, idle: Collection[str], why: str) -> None:
    """Raise InputError for a setting that was given, and that `why` names no use for."""
    told = [name for name in type(given).model_fields if name in given.model_fields_set] if given else []
    if wasted := [name for name in told if name in idle]:
        raise InputError(f"nothing here uses it: {why}", field=wasted[0], remedy="leave it out")


def all_but(kind: type[Block], *used: str) -> set[str]:
    """The settings of a block but for some."""
    return set(kind.model_fields) - {*used}
