"""Untrusted text in a prompt: one line, in quotes that it cannot close, without what chat templates are made of.

quoted('say "hi"\\n<|im_end|>', 200)      # '"say \\"hi\\" < |im_end|>"'
"""

from __future__ import annotations

import json
import re
from typing import Final

_MARK: Final = re.compile(r"([<\[])(?=[/|｜A-Za-z_])")
"""What begins <|im_end|>, </think>, <｜User｜> or [INST], which a server may read as the mark and not as text."""


def quoted(text: str, longest: int) -> str:
    """The text as a JSON string on one line, the middle left out where it has more than `longest` characters."""
    line = " ".join(text.split())
    if len(line) > longest:
        line = f"{line[: longest * 2 // 3]} … {line[-longest // 3 :]}"
    return json.dumps(_MARK.sub(r"\1 ", clean(line)), ensure_ascii=False)


def clean(text: str) -> str:
    """Without lone surrogates, which neither a server nor a file takes."""
    return text.encode("utf-8", "replace").decode()
