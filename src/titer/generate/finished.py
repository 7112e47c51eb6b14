"""What a generated text comes to, the same for every engine: cut at its stop string, its thinking apart.

finished(request, 0, "<think>3 + 4</think>7\\n\\nBye", ("\\n\\n",), opener="", reason="length", tokens=12)
"""

from __future__ import annotations

from collections.abc import Sequence

from titer.generate.protocol import Completion, Request
from titer.generate.stops import cut_at_stop
from titer.records.schema import FinishReason
from titer.records.thinking import split_thinking


def finished(
    request: Request,
    sample: int,
    text: str,
    stop: Sequence[str],
    *,
    opener: str,
    reason: FinishReason,
    tokens: int,
    ids: Sequence[int] = (),
) -> Completion:
    """The completion of one sample. `opener` is what of the turn stands before `text`; a stop string makes the finish
    reason "stop"."""
    stopped = cut_at_stop(text, stop, opener=opener)
    kept = text if stopped is None else stopped
    thought = split_thinking(opener + kept)
    return Completion(
        request_id=request.id,
        sample=sample,
        text=kept,
        reasoning=thought.reasoning,
        response=thought.response,
        finish_reason=reason if stopped is None else "stop",
        tokens=tokens,
        ids=tuple(ids),
    )
