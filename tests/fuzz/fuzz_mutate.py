"""Damage to small real files: bytes turned, parts cut out, doubled and moved, values of JSON exchanged."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

# values that a reader might trip over, and text that some part of titer reads as a sign
VALUES: Sequence[Any] = (
    None, True, False, 0, 1, -1, 0.5, 1e308, -0.0, float("nan"), float("inf"), 2**31, 2**63, 10**400, "", " ",
    "7", "null",
    "\x00", "\x1b[2J", "\u2028", "\u202e", "é" * 50, "a" * 3000, "9" * 5000, "../../x", "/dev/zero", "<think>",
    "</think>",
    "<|channel|>final<|message|>", "####", "#### 1,000", "\\boxed{", "\\boxed{}}", "{}", "[]", "{", "user", "assistant",
    "stop", "length", "math", "gym:chain_sum", "ifeval", "countdown", "refusal", [], [[]], {}, {"a": {}}, [None],
    ["a", 1],
    [{}], {"role": "user"}, [{"role": "user", "content": "?"}], {"$ref": "#"}, [[[[[[]]]]]],
)  # fmt: skip
PIECES: Sequence[str] = (
    "<think>", "</think>", "<|begin_of_thought|>", "<|end_of_thought|>", "<|channel|>", "<|message|>", "<|start|>",
    "<answer>", "</answer>", "\\boxed{", "\\fbox {", "}", "{", "\\{", "\\frac{1}{0}", "answer is", "Answer: ",
    "**", "```",
    "$$", "$", "\\(", "\\[", "####", "\n\n", "\r", "\x0b", "\u2028", "\ufeff", "\u0663", "²", "½", "１２", "𝟙",
    "9" * 400,
    "9**9**9", "(" * 200, "1e999", "0/0", "10!" * 20, "\\sqrt" * 30, "-" * 50, ".", "...", ",", "1,000", "%", "= ", "≠",
    "Wait, ", "Alternatively, ", "Perhaps ", "Let me check. ", "So ", "(A)", "A)", "sorry, but I can't help",
    "\x00", "\ud7ff",
)  # fmt: skip
BYTES: Sequence[bytes] = (b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\n", b"\r\n", b'"', b"{",
    b"}", b"[",
    b"]", b",", b":", b"\\", b"\\ud800", b"\x1b[31m", b"\xe2\x80\xa8", b"&a", b"*a", b"<<: ", b"!!python/object:",
    b"- ",
    b"\t", b"9" * 5000, b"[" * 3000, b"{\"a\":" * 2000, b"-1", b"1e999", b"NaN")  # fmt: skip


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The bytes after one to four damages."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(_BYTE_DAMAGES)(data, others, rng)
    return data


def mutated_text(text: str, others: Sequence[str], rng: random.Random) -> str:
    """A text with pieces put in, parts moved, and now and then a part many times over."""
    for _ in range(rng.randint(1, 6)):
        at, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        put = rng.choice(PIECES) * rng.choice((1, 1, 1, 3, 300))
        text = rng.choice((text[:at] + put + text[at:], text[:at] + put + text[end:], text[end:] + text[:at] + put))
        if rng.random() < 0.2 and others:
            text += rng.choice(others)
    return text[:200_000]


def mutated_lines(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """JSON lines of which one is another object than before; the bytes damaged where there is no JSON."""
    lines = data.splitlines()
    place = rng.randrange(len(lines)) if lines else 0
    try:
        lines[place] = json.dumps(mutated_tree(json.loads(lines[place]), rng)).encode()
    except (ValueError, IndexError, RecursionError):
        return mutated(data, others, rng)
    return b"\n".join(lines) + b"\n"


def mutated_json(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """One JSON document with other values in it."""
    try:
        return json.dumps(mutated_tree(json.loads(data), rng)).encode()
    except (ValueError, RecursionError):
        return mutated(data, others, rng)


def mutated_tree(value: Any, rng: random.Random) -> Any:
    """The value with one to three of its nodes exchanged, taken out, doubled or wrapped."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _tree_once(value, rng)
    return value


def _tree_once(value: Any, rng: random.Random) -> Any:
    inner = isinstance(value, dict | list) and value and rng.random() < 0.85
    if not inner:
        return rng.choice(VALUES) if rng.random() < 0.85 else rng.choice(([value], {"a": value}, [value, value]))
    if isinstance(value, list):
        at = rng.randrange(len(value))
        return rng.choice(
            (value[:at], value[at:], [*value, value[at]], [*value[:at], _tree_once(value[at], rng), *value[at + 1 :]])
        )
    key = rng.choice(list(value))
    rest = {name: part for name, part in value.items() if name != key}
    other = rng.choice(list(value))
    return rng.choice((
        rest, {**rest, f"{key}_": value[key]}, {**value, key: value[other]},
        {**value, key: _tree_once(value[key], rng)}, {**value, key: _tree_once(value[key], rng)},
    ))  # fmt: skip


def _flip(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    turned = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20)) if data else 0):
        turned[rng.randrange(len(turned))] ^= 1 << rng.randrange(8)
    return bytes(turned)


def _cut(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    at, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return data[:at] if rng.random() < 0.5 else data[:at] + data[end:]


def _put(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice((rng.choice(BYTES), rng.randbytes(rng.randint(1, 8)))) + data[at:]


def _double(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    at, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return (
        data[:end] + data[at:end] * rng.choice((1, 1, 20)) + data[end:] if end - at < 2000 else data[:end] + data[at:]
    )


def _graft(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others) if others else data
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


_BYTE_DAMAGES: Sequence[Callable[[bytes, Sequence[bytes], random.Random], bytes]] = (_flip, _cut, _put, _double, _graft)
