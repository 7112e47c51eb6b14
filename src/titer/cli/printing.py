"""How every verb says and prints: tables and JSON on stdout, all else on stderr; of several processes one speaks."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import Any

from titer.errors import InputError, escaped, harmless
from titer.processes import is_main


def say(line: str) -> None:
    """One line for people, on stderr. It may quote what stands in files."""
    if is_main():
        print(harmless(line), file=sys.stderr, flush=True)


def choice(value: str, option: str, *allowed: str) -> Any:
    """The value of an option that knows few. Raises InputError."""
    if value not in allowed:
        raise InputError(f"{value!r} for {option}", remedy=f"use one of: {', '.join(allowed)}")
    return value


def on_bad_choice(value: str) -> Any:
    """What `--on-bad` says."""
    return choice(value, "--on-bad", "stop", "drop")


def say_dropped(rows: list[str]) -> None:
    """The dropped rows, a line each."""
    for row in rows:
        say(f"dropped: {row}")


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    from titer.cli.plain import plain

    if is_main():
        print(escaped(json.dumps(plain(value), ensure_ascii=False)))


def print_pairs(pairs: dict[str, Any]) -> None:
    """Names and values, a line each; on a terminal a long value goes on below itself."""
    if not is_main():
        return
    width = max(len(name) for name in pairs)
    room = shutil.get_terminal_size().columns - width - 2 if sys.stdout.isatty() else 0
    for name, value in pairs.items():
        text = harmless(str(value))
        # paths and commands stay in one piece, to be copied
        lines = textwrap.wrap(text, max(room, 20), break_long_words=False, break_on_hyphens=False) if room else [text]
        print(harmless(f"{name.replace('_', ' '):<{width}}  ") + f"\n{'':<{width}}  ".join(lines or [""]))
