"""From traces to token ids: a prompt that is not trained on and a completion that is.

    sample = encode(trace, tokenizer)
    tokenizer.decode(sample.ids[sample.prompt_length :])     # thinking, response, end-of-turn

The chat template writes everything; nothing is appended by hand where it exists. Whatever would corrupt training
is refused: a prompt that is not a prefix of the whole, a template that swallows the thinking, no trained token,
too long a sample.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.errors import InputError
from titer.records import Trace, earlier_turns, join_thinking, split_thinking
from titer.records.templates import applied, no_template, templated_prompt, turn_ends
from titer.records.thinking import opener_at_end

if TYPE_CHECKING:
    from rich.text import Text


# the steps of a reasoning: where each begins, and its kind
StepLabels = Callable[[str], Sequence[tuple[int, int]]]


class Sample(NamedTuple):
    """A tokenized trace: `ids`, of which the first `prompt_length` are the prompt's.

    `kinds` say of what kind the reasoning step of each trained token is, −1 outside of steps (None: not labelled).
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


def render(trace: Trace, tokenizer: Any) -> tuple[str, str]:
    """Prompt and completion as text, end-of-turn included. Raises InputError (see the module)."""
    earlier = earlier_turns(trace)
    if not getattr(tokenizer, "chat_template", None):
        return _plain(trace, earlier, tokenizer)
    turns = [*earlier, {"role": "user", "content": trace.prompt}]
    prompt = templated_prompt(tokenizer, earlier, trace.prompt)
    forms = [applied(tokenizer, [*turns, answer]) for answer in _assistant_turns(trace)]
    completions = [whole[len(prompt) :] for whole in forms if whole.startswith(prompt)]
    holding = [completion for completion in completions if _holds_thinking(completion, trace)]
    # one that reads back as it was comes before one with marks that nothing here knows
    opener = opener_at_end(prompt)
    reads = [one for one in holding if trace.reasoning.strip() in split_thinking(opener + one).reasoning]
    if holding:
        return prompt, _to_end_of_turn((reads or holding)[0], tokenizer)
    if not completions:
        raise InputError(
            f"the prompt of trace {trace.id!r} is not a prefix of its rendered text",
            field="chat_template",
            remedy="use a chat template that writes prompts and answers alike",
        )
    raise InputError(
        f"the chat template drops the thinking of trace {trace.id!r}",
        field="chat_template",
        remedy="use a template that keeps <think>…</think> or reasoning_content in the last turn",
    )


def _holds_thinking(completion: str, trace: Trace) -> bool:
    """Whether the thinking stands in a completion, once more than the response itself may repeat it."""
    thinking = trace.reasoning.strip()
    return not thinking or completion.count(thinking) > trace.response.count(thinking)


def _plain(trace: Trace, earlier: Sequence[Any], tokenizer: Any) -> tuple[str, str]:
    """Prompt and completion of a tokenizer without a chat template."""
    if earlier:
        raise no_template(f"trace {trace.id!r}")
    if not tokenizer.eos_token:
        raise InputError(
            "the tokenizer has neither a chat template nor an end-of-text token: the model would never learn to end",
            field="eos_token",
            remedy="name one in its tokenizer_config.json",
        )
    return trace.prompt, f" {join_thinking(trace.reasoning, trace.response)}{tokenizer.eos_token}"


def encode(trace: Trace, tokenizer: Any, max_length: int | None = None, label: StepLabels | None = None) -> Sample:
    """Tokens of one trace. Raises InputError as `render` does, for no trained token, and beyond `max_length`.

    `label` gives the steps of a reasoning, each with the place of its first character and its kind.
    """
    prompt, completion = render(trace, tokenizer)
    # a template writes its special tokens itself; without one the model is sampled behind its tokenizer's (a BOS)
    prompt_ids = tokenizer(prompt, add_special_tokens=not getattr(tokenizer, "chat_template", None))["input_ids"]
    wanted = bool(label and tokenizer.is_fast)
    encoded = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=wanted)
    ids = prompt_ids + encoded["input_ids"]
    kinds = _kinds(trace, completion, encoded["offset_mapping"], label) if label and wanted else None
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


def _kinds(trace: Trace, completion: str, offsets: Sequence[tuple[int, int]], label: StepLabels) -> list[int]:
    """The kind of the step that each token of the completion begins in; −1 outside of the reasoning.

    A token begins at its first character that is no white space: " Wait" is of the step that it opens, while steps end
    with their white space.
    """
    reasoning = trace.reasoning.strip()
    first = completion.find(reasoning)
    steps = label(reasoning)
    starts = [first + start for start, _ in steps]
    end = first + len(reasoning)
    places = (_begin(completion, *offset) for offset in offsets)
    return [steps[bisect_right(starts, place) - 1][1] if steps and starts[0] <= place < end else -1 for place in places]


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


def _assistant_turns(trace: Trace) -> Iterable[dict[str, str]]:
    """The ways in which chat templates take a thinking. Apart from the answer first: a template that has a place of its
    own for it would put a thinking inside of the content into the answer."""
    if trace.reasoning.strip():
        yield {"role": "assistant", "content": trace.response, "reasoning_content": trace.reasoning}
        yield {"role": "assistant", "content": trace.response, "thinking": trace.reasoning}
    yield {"role": "assistant", "content": join_thinking(trace.reasoning, trace.response)}


def _to_end_of_turn(completion: str, tokenizer: Any) -> str:
    """Templates may write after the end-of-turn token (a line break, an end of text); nothing after it is ever
    generated."""
    cut, stop = len(completion), 0
    while end := next((end for end in turn_ends(tokenizer) if completion[:cut].rstrip().endswith(end)), ""):
        stop = len(completion[:cut].rstrip())
        cut = stop - len(end)
    if stop:
        return completion[:stop]
    for end in turn_ends(tokenizer):
        if end in completion:
            return completion[: completion.rindex(end) + len(end)]
    return completion + (tokenizer.eos_token or "")


def _spoken(completion: str, tokenizer: Any) -> str:
    """The completion without its end-of-turn token."""
    end = next((end for end in turn_ends(tokenizer) if completion.endswith(end)), "")
    return completion.removesuffix(end)
