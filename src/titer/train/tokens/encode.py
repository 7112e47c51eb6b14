"""From traces to token ids: a prompt that is not trained on and a completion that is.

    sample = encode(trace, tokenizer)
    tokenizer.decode(sample.ids[sample.prompt_length :])     # thinking, response, end-of-turn

Whatever would corrupt training is refused: what `render` refuses, no trained token, too long a sample.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.errors import InputError
from titer.records import Trace
from titer.records.templates import turn_ends
from titer.train.tokens.render import render

if TYPE_CHECKING:
    from rich.text import Text

# the steps of a reasoning: where each begins, and its kind
StepLabels = Callable[[str], Sequence[tuple[int, int]]]


UNLABELLED = -1  # the kind of a token that is of no labelled step


class Sample(NamedTuple):
    """A tokenized trace: `ids`, of which the first `prompt_length` are the prompt's.

    `kinds` say of what kind the reasoning step of each trained token is, UNLABELLED outside of steps (None: no token is
    labelled).
    `base_mean` is the base model's mean log p of the trained tokens, where an objective asks for it.
    """

    trace_id: str
    ids: list[int]
    prompt_length: int
    kinds: list[int] | None = None
    base_mean: float = float("nan")

    @property
    def trained(self) -> int:
        """Number of trained tokens; the first token of all has nothing to be predicted from."""
        return len(self.ids) - max(self.prompt_length, 1)


def encode(trace: Trace, tokenizer: Any, max_length: int | None = None, label: StepLabels | None = None) -> Sample:
    """Tokens of one trace. Raises InputError as `render` does, for no trained token, and beyond `max_length`.

    `label` gives the steps of a reasoning, each with the place of its first character and its kind.
    """
    prompt, completion = render(trace, tokenizer)
    prompt_ids, trained = _tokens(prompt, completion, tokenizer)
    ids = prompt_ids + trained.ids
    kinds = _kinds(trace, completion, trained.offsets, label) if label and tokenizer.is_fast else None
    # an end-of-turn alone would teach the model to say nothing
    if not _spoken(completion, tokenizer).strip() or len(ids) == len(prompt_ids):
        raise InputError(
            f"trace {trace.id!r} has no trainable token",
            field="response",
            remedy="drop this trace, or mend the chat template if it swallows the response",
        )
    if max_length and len(ids) > max_length:
        raise InputError(
            f"trace {trace.id!r} has {len(ids)} tokens, more than {max_length}",
            field="train.max_length",
            remedy="raise it, or set train.too_long=drop",
        )
    return Sample(trace.id, ids, len(prompt_ids), kinds if prompt_ids or kinds is None else kinds[1:])


class _Tokens(NamedTuple):
    """Token ids, and where in the completion each begins and ends (nothing where the tokenizer does not tell)."""

    ids: list[int]
    offsets: list[tuple[int, int]]


def _tokens(prompt: str, completion: str, tokenizer: Any) -> tuple[list[int], _Tokens]:
    """The prompt's tokens, as the model is sampled behind them, and the completion's.

    Those are what the whole text has behind the prompt's: a tokenizer such as Llama 2's puts a mark before any text
    that it is given alone. Where a token of the whole reaches from one into the other, the completion is taken alone.
    """
    # a template writes its special tokens itself; without one the model is sampled behind its tokenizer's (a BOS)
    own, where = not getattr(tokenizer, "chat_template", None), {"return_offsets_mapping": bool(tokenizer.is_fast)}
    prompt_ids = list(tokenizer(prompt, add_special_tokens=own)["input_ids"])
    whole = tokenizer(prompt + completion, add_special_tokens=own, **where)
    if whole["input_ids"][: len(prompt_ids)] == prompt_ids:
        return prompt_ids, _behind(whole, len(prompt_ids), len(prompt))
    return prompt_ids, _behind(tokenizer(completion, add_special_tokens=False, **where), 0, 0)


def _behind(encoded: Any, tokens: int, characters: int) -> _Tokens:
    """What of an encoded text stands behind its first tokens, and behind its first characters."""
    places = encoded.get("offset_mapping", [])[tokens:]
    return _Tokens(list(encoded["input_ids"][tokens:]), [(a - characters, b - characters) for a, b in places])


def _kinds(trace: Trace, completion: str, offsets: Sequence[tuple[int, int]], label: StepLabels) -> list[int]:
    """The kind of the step that each token of the completion begins in; UNLABELLED outside of the reasoning.

    A token begins at its first character that is no white space: " Wait" is of the step that it opens, while steps end
    with their white space.
    """
    reasoning = trace.reasoning.strip()
    first = completion.find(reasoning)
    steps = label(reasoning)
    starts = [first + start for start, _ in steps]
    end = first + len(reasoning)
    places = (_begin(completion, *offset) for offset in offsets)
    return [
        steps[bisect_right(starts, place) - 1][1] if steps and starts[0] <= place < end else UNLABELLED
        for place in places
    ]


def _begin(text: str, start: int, stop: int) -> int:
    """The first character of `text[start:stop]` that is no white space; `start` where there is none."""
    bare = text[start:stop].lstrip()
    return stop - len(bare) if bare else start


def encode_all(
    traces: Iterable[Trace],
    tokenizer: Any,
    *,
    max_length: int | None,
    too_long: str,
    dropped: list[InputError],
    label: StepLabels | None = None,
) -> list[Sample]:
    """All samples of `encode_each`. Raises InputError when nothing is left to train on."""
    samples = list(
        encode_each(traces, tokenizer, max_length=max_length, too_long=too_long, dropped=dropped, label=label)
    )
    if not samples:
        raise InputError("no trace is left to train on", field="traces", remedy="give more traces or drop fewer")
    return samples


def encode_each(
    traces: Iterable[Trace],
    tokenizer: Any,
    *,
    max_length: int | None,
    too_long: str,
    dropped: list[InputError],
    label: StepLabels | None = None,
) -> Iterator[Sample]:
    """Samples in order. With `too_long="drop"` the overlong ones go to `dropped`; any other fault is raised."""
    for trace in traces:
        try:
            yield encode(trace, tokenizer, max_length, label)
        except InputError as error:
            if too_long != "drop" or error.field != "train.max_length":
                raise
            dropped.append(error)


def show(sample: Sample, tokenizer: Any) -> Text:
    """The sample for a terminal: the prompt dim, the trained tokens green, between ⟦ and ⟧, separated by ·."""
    from rich.text import Text

    first = len(sample.ids) - sample.trained
    trained = "·".join(tokenizer.decode([i]) for i in sample.ids[first:])
    return Text.assemble((tokenizer.decode(sample.ids[:first]), "dim"), (f"⟦{trained}⟧", "green"))


def _spoken(completion: str, tokenizer: Any) -> str:
    """The completion without its end-of-turn token."""
    end = next((end for end in turn_ends(tokenizer) if completion.endswith(end)), "")
    return completion.removesuffix(end)
