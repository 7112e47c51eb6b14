"""Stop strings that leave the thinking alone.

    cut_at_stop("<think>try 1\\n\\nno</think>7\\n\\nBye", ("\\n\\n",))   # "<think>try 1\\n\\nno</think>7"
    cut_at_stop("<think>try 1\\n\\nno", ("\\n\\n",))                   # None: still thinking

A server, or `model.generate`, would end both of them at "try 1". The rule is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from titer.records.thinking import OPENERS, split_thinking


def cut_at_stop(text: str, stop: Sequence[str], *, opener: str = "") -> str | None:
    """The text up to the first stop string in its response; None when there is none, or no response yet.

    `text` may still be growing. `opener` is what of the turn stands before it: the thinking tag that the prompt ended
    with, a prefix, "" for nothing.
    """
    start = _response_start(text, opener)
    found = [at for string in stop if (at := text.find(string, start)) >= 0]
    return text[: min(found)] if found else None


def _response_start(text: str, opener: str) -> int:
    """Where the response begins: at the text's end inside the thinking, and while a tag may be half written."""
    half_written = not opener and any(tag.startswith(text.strip()) for tag in OPENERS)
    response = "" if half_written else split_thinking(opener + text).response
    at = (opener + text).rfind(response) if response else -1
    return len(text) if at < 0 else max(0, at - len(opener))
