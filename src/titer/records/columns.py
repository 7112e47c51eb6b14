"""Taking what a row holds under the names that people use, and keeping the rest as meta.

rest = dict(row)
key, value = take(rest, ANSWER)      # ("gold", 72); rest no longer has "gold"
text(key, value)                     # "72"
leftover(rest)                       # everything that nobody took
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from titer.errors import InputError
from titer.records.rows import json_object, type_name

PROMPT = ("prompt", "problem", "question", "instruction", "input", "Problem", "Question")
PROBLEM_ID = ("id", "problem_id", "unique_id", "ID")
MESSAGES = ("messages", "conversations", "conversation")
ANSWER = ("answer", "gold", "final_answer", "target", "ground_truth", "Answer")
RESPONSE = ("completion", "response", "output", "solution")
REASONING = ("reasoning_content", "reasoning", "thinking")
TEACHER = ("teacher", "model", "generator", "source_model")
DOMAIN = ("domain", "category", "subject")


def take(rest: dict[str, Any], keys: Sequence[str]) -> tuple[str, Any]:
    """Remove and return the first of the keys that holds something; (first key, None) when none does."""
    key = first(rest, keys)
    return (keys[0], None) if key is None else (key, rest.pop(key))


def first(rest: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The first of the keys that holds something."""
    return next((key for key in keys if not is_missing(rest.get(key))), None)


def is_missing(value: object) -> bool:
    """Null, blank text, an empty list or object, and NaN, with which pandas fills holes."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value in ([], {})


def text(key: str, value: object) -> str:
    """An id or an answer as text: numbers are written out, 51.0 as "51"; one-element lists are opened."""
    if isinstance(value, list) and len(value) == 1:
        return text(key, value[0])
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"{type_name(value)}, not text", remedy="write text or a number", field=key)


def string(key: str, value: object) -> str:
    """Text as it stands, "" for nothing."""
    if is_missing(value):
        return ""
    if not isinstance(value, str):
        raise InputError(f"{type_name(value)}, not text", remedy="write text", field=key)
    return value


def flag(key: str, value: object) -> bool | None:
    """true, false, or None for nothing. As text too, in any case: a CSV has nothing else, and pandas writes True."""
    if is_missing(value):
        return None
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if not isinstance(value, bool):
        raise InputError(f"{type_name(value)}, not true or false", remedy="write true or false", field=key)
    return value


def leftover(rest: dict[str, Any]) -> dict[str, Any]:
    """What nobody took, as meta: a `meta` object's entries first, then the other columns that hold something."""
    held = {key: value for key, value in rest.items() if not is_missing(value)}
    meta = held.get("meta")
    opened = json_object(meta) if isinstance(meta, str) else meta
    if not isinstance(opened, dict):
        return held
    return {**opened, **{key: value for key, value in held.items() if key != "meta"}}


def prompt_id(prompt: str, earlier: Sequence[Mapping[str, Any]] = ()) -> str:
    """The id of a problem that has none: 16 hexadecimal digits of its stripped prompt's BLAKE2b hash.

    Turns before the prompt make it another question, and count; a system prompt does not, which traces often have and
    the file of their problems has not.
    """
    turns = [f"{turn['role']}: {turn['content']}" for turn in earlier if turn["role"] != "system"]
    return digest(*turns, prompt.strip())


def digest(*parts: str) -> str:
    """A short stable hash of several texts. The unit separator keeps ("a", "bc") from being ("ab", "c")."""
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()
