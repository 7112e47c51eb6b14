"""Settings that a verb has no use for, for want of others too: refused, not passed over."""

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


def refuse_half(server: str | None, model: str) -> None:
    """Raise InputError for a judge's server without its model, and for a model without a server."""
    if server and not model:
        raise InputError("a server without a model", field="model", remedy="name the model that it serves")
    if model and not server:
        raise InputError(
            "a model without a server", field="server", remedy="name the server, or leave both out: the rules judge"
        )
