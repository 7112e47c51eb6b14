"""titer's own rows: a record as a plain dict with one entry per field, and back, exactly.

to_row(Problem(id="a", prompt="3 + 4?", answer="7"))
from_row(Problem, {"id": "a", "prompt": "3 + 4?", "answer": "7"})
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_args, get_type_hints

from titer.errors import InputError
from titer.records.schema import Decision, FinishReason, Problem, Rollout, Trace

Record = Problem | Trace | Rollout | Decision
R = TypeVar("R", Problem, Trace, Rollout, Decision)

FIELD_TYPES: dict[type, dict[str, Any]] = {kind: get_type_hints(kind) for kind in get_args(Record)}
JSON_OBJECT = Mapping[str, Any]
_TYPES: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float | None: (float, int, type(None)),
    str | None: (str, type(None)),
    bool | None: (bool, type(None)),
    JSON_OBJECT: (dict, str),  # text: the JSON column of a Parquet file
    FinishReason: (str,),
}
_NAMES = {str: "text", bool: "true or false", dict: "an object", list: "a list", type(None): "null"}


def to_row(record: Record) -> dict[str, Any]:
    """The record's fields under their own names."""
    values = ((f.name, getattr(record, f.name)) for f in fields(record))
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values}


def from_row(kind: type[R], row: Mapping[str, Any]) -> R:
    """The record of a row that `to_row` made; absent optional fields take their defaults.

    Raises InputError for a field that is missing, unknown or of a wrong type.
    """
    types = FIELD_TYPES[kind]
    unknown = next((name for name in row if name not in types), None)
    if unknown is not None:
        raise InputError(f"no {kind.__name__} has this field", remedy="remove it", field=unknown)
    values: dict[str, Any] = {f.name: _value(f, types[f.name], row[f.name]) for f in fields(kind) if _is_given(f, row)}
    return kind(**values)


def own_record(kind: type[R], row: Mapping[str, Any]) -> R | None:
    """The record, if this is a row as `to_row` makes it: every field there, none besides, each of its type."""
    if row.keys() != FIELD_TYPES[kind].keys():
        return None
    try:
        return from_row(kind, row)
    except InputError:
        return None


def type_name(value: object) -> str:
    """What a value is, in the words of a JSON file: "a list", "text"."""
    return _NAMES.get(type(value), "a number")


def json_object(text: str) -> dict[str, Any] | None:
    """The object that the text is in JSON, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_given(f: Field[Any], row: Mapping[str, Any]) -> bool:
    if f.name in row:
        return True
    if f.default is MISSING and f.default_factory is MISSING:
        raise InputError("the field is missing", remedy="is this a file that titer wrote?", field=f.name)
    return False


def _value(f: Field[Any], annotation: object, value: object) -> object:
    # type(), not isinstance: true is no number here.
    if type(value) not in _TYPES[annotation]:
        raise InputError(f"{type_name(value)}, where {f.type} belongs", remedy="mend the row", field=f.name)
    if annotation == FinishReason and value not in get_args(FinishReason):
        raise InputError(f"{value!r} is no finish reason", remedy="use stop, length or error", field=f.name)
    if annotation == JSON_OBJECT and isinstance(value, str):
        return _meta(f.name, value)
    return value


def _meta(name: str, text: str) -> dict[str, Any]:
    value = json_object(text)
    if value is None:
        raise InputError("text that is no JSON object", remedy="write an object", field=name)
    return value
