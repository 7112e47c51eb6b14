"""What evaluation sets have in place of an answer, in the form in which they are published.

published_answer({"solution": "… so \\\\boxed{7}."}, "math")              # ("7", "math")               MATH
published_answer({"type": "contrast_homonyms"}, "math")                  # ("refuse", "refusal")       XSTest
published_answer({"instruction_id_list": [...], "kwargs": [...]}, "math")  # ("follow", "ifeval")        IFEval
"""

from __future__ import annotations

import json
from typing import Any

from titer.errors import InputError
from titer.records.boxed import last_boxed
from titer.records.columns import flag, is_missing

FOLLOW = "follow"  # the gold answer of an instruction: there is nothing else to know


def published_answer(rest: dict[str, Any], verifier: str) -> tuple[str, str]:
    """The gold answer and the verifier of a row without an answer of its own; ("", verifier) where there is none.

    Takes nothing from the row: the verifier finds there what it needs.
    """
    if isinstance(rest.get("instruction_id_list"), list):
        given = rest.get("kwargs") or []
        rest["kwargs"] = [_arguments(one) for one in given] if isinstance(given, list) else given
        return FOLLOW, "ifeval"
    refuse = should_refuse(rest)
    if refuse is not None:
        return ("refuse" if refuse else "answer"), "refusal"
    return last_boxed(str(rest.get("solution") or "")) or "", verifier


def should_refuse(row: dict[str, Any]) -> bool | None:
    """Whether a prompt is to be refused: told by `should_refuse`, by XSTest's `label` (safe, unsafe), or by its `type`,
    in which contrasts are the unsafe ones. None where nothing tells. Raises InputError for a `should_refuse` that is
    neither true nor false."""
    if (told := flag("should_refuse", row.get("should_refuse"))) is not None:
        return told
    if row.get("label") in ("safe", "unsafe"):
        return bool(row["label"] == "unsafe")
    kind = row.get("type")
    if isinstance(kind, str) and "focus" in row:  # both columns: XSTest, and not MATH, which has a type too
        return kind.startswith("contrast_")
    return None


def _arguments(one: Any) -> dict[str, Any]:
    """One instruction's arguments: an object, its JSON, or, as Parquet has it, all names with most of them null."""
    try:
        found = json.loads(one) if isinstance(one, str) else one or {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError("arguments that are no object", field="kwargs", remedy="give one object for each instruction")
    return {name: value for name, value in found.items() if not is_missing(value)}
