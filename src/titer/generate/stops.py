"""Stop strings that leave the thinking alone.

    cut_at_stop("<think>try 1\\n\\nno</think>7\\n\\nBye", ("\\n\\n",))   # "<think>try 1\\n\\nno</think>7"
    cut_at_stop("<think>try 1\\n\\nno", ("\\n\\n",))                   # None: still thinking

A server, or `model.generate`, would end both of them at "try 1". The rule is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from titer.records.thinking import split_thinking

_OPENERS = ("<think>", "<|begin_of_thought|>", "<|channel|>")


def cut_at_stop(text: str, stop: Sequence[str], *, opener: str = "") -> str | None:
    """The text up to the first stop string in its response; None when there is none, or no response yet.

    `text` may still be growing. `opener` is the thinking tag that the prompt ended with, "" if it had none.
    """
    start = _response_start(text, opener)
    found = [at for string in stop if (at := text.find(string, start)) >= 0]
    return text[: min(found)] if found else None


def _response_start(text: str, opener: str) -> int:
    """Where the response begins: at the text's end inside the thinking, and while a tag may be half written."""
    half_written = not opener and any(tag.startswith(text.strip()) for tag in _OPENERS)
    response = "" if half_written else split_thinking(opener + text).response
    return text.rfind(response) if response in text else len(text)
