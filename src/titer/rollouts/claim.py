"""What the rollouts of a file were made with: it stands beside them, and a call that would make others is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from titer.errors import InputError
from titer.records import Problem, holds_any
from titer.store import content_hash, read_json, write_json
from titer.store.layout import as_object


def made_file(out: Path) -> Path:
    """Where it stands: `NAME.made.json` beside NAME.jsonl."""
    return out.with_suffix(".made.json")


def claim(out: Path, made_with: Mapping[str, Any], beside: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Say beside `out` (`NAME.made.json`) what its rollouts are made with, or refuse when others stand there. What
    `beside` says follows from it, and is written for whoever reads.

    Raises InputError naming what differs.
    """
    ours, file = json.loads(json.dumps(made_with)), made_file(out)
    if not holds_any(out):
        return write_json(file, {**ours, **beside})
    theirs = claimed(out)
    if changed := [key for key, value in ours.items() if theirs.get(key) != value]:
        raise InputError(
            f"holds rollouts made otherwise ({', '.join(changed)} differ)",
            file=out,
            remedy="give another output folder, or remove this file",
        )
    return None


def claim_problems(out: Path, made_with: Mapping[str, Any], problems: Mapping[str, str]) -> None:
    """The same where problems may be added: those of `problems`, hash by id, that are known must be what they were.

    Raises InputError naming what differs.
    """
    known = claimed(out).get("problems") if holds_any(out) else {}
    known = known if isinstance(known, dict) else {}  # else one hash of all: such rollouts are refused
    claim(out, {**made_with, "problems": {**known, **{name: problems[name] for name in problems.keys() & known}}})
    write_json(made_file(out), {**made_with, "problems": {**known, **problems}})


def claimed(out: Path) -> dict[str, Any]:
    """What stands beside `out`; nothing where nothing does."""
    file = made_file(out)
    again = "remove it and the rollouts beside it, and they are drawn again"
    return read_json(file, as_object, remedy=again) if file.exists() else {}


def shown(problem: Problem) -> list[Any]:
    """All of a problem that its rollouts depend on."""
    return [problem.id, problem.prompt, problem.answer, problem.verifier, dict(problem.meta)]


def hash_of(problem: Problem, prefix: str = "") -> str:
    """A problem's own hash, and that of what its answers begin with."""
    return content_hash([*shown(problem), prefix] if prefix else shown(problem))
