from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from training import TOKENIZER

from titer.errors import InputError
from titer.records import Trace
from titer.train import encode, encode_all, render, show

TRACE = Trace(
    id="t1",
    problem_id="p1",
    prompt="Use 3, 9 and 5 to make 42.",
    reasoning="First, 9 + 5 = 14.\n\nThen 14 * 3 = 42.",
    response="Answer: ( 9 + 5 ) * 3",
)


def with_template(template: str):
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = template
    return tokenizer


def test_trained_tokens_are_the_completion_and_its_end_of_turn() -> None:
    sample = encode(TRACE, TOKENIZER)
    trained = TOKENIZER.decode(sample.ids[sample.prompt_length :])
    assert trained == f"<think>\n{TRACE.reasoning}\n</think>\n\n{TRACE.response} <|end|>"
    assert sample.ids[-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.decode(sample.ids[: sample.prompt_length]).startswith("<|user|> Use 3, 9 and 5")


def test_text_after_the_end_of_turn_is_not_trained_on() -> None:
    """Qwen's template, for one, writes a line break after <|im_end|>."""
    template = TOKENIZER.chat_template.replace("'<|end|>'", "'<|end|>\n'")
    assert encode(TRACE, with_template(template)).ids[-1] == TOKENIZER.eos_token_id


def test_a_model_without_a_template_gets_prompt_completion_and_end() -> None:
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = None
    prompt, completion = render(TRACE, tokenizer)
    assert prompt == TRACE.prompt
    assert completion.endswith(TRACE.response + tokenizer.eos_token)


def test_a_template_that_takes_the_thinking_apart_gets_it_apart() -> None:
    template = (
        "{% for m in messages %}{{ '<|' + m.role + '|> ' }}"
        "{% if m.reasoning_content %}{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}"
        "{{ m.content.split('</think>')[-1] + '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|> ' }}{% endif %}"
    )
    assert TRACE.reasoning in render(TRACE, with_template(template))[1]


def test_refuses_a_template_that_swallows_the_thinking() -> None:
    template = TOKENIZER.chat_template.replace("message['content']", "message['content'].split('</think>')[-1]")
    with pytest.raises(InputError, match="drops the thinking"):
        encode(TRACE, with_template(template))


def test_refuses_a_prompt_that_is_not_a_prefix_of_the_whole() -> None:
    template = "{{ messages | length }} " + TOKENIZER.chat_template
    with pytest.raises(InputError, match="not a prefix"):
        encode(TRACE, with_template(template))


def test_refuses_a_trace_without_trainable_tokens() -> None:
    with pytest.raises(InputError, match="'t1' has no trainable token"):
        encode(replace(TRACE, reasoning="", response=" "), TOKENIZER)
    swallowed = TOKENIZER.chat_template.replace(
        "message['content']", "('' if message['role'] == 'assistant' else 'Hm')"
    )
    with pytest.raises(InputError, match="'t1' has no trainable token"):
        encode(replace(TRACE, reasoning=""), with_template(swallowed))


def test_never_cuts_a_sample_that_is_too_long() -> None:
    length = len(encode(TRACE, TOKENIZER).ids)
    assert len(encode(TRACE, TOKENIZER, max_length=length).ids) == length
    with pytest.raises(InputError, match=f"has {length} tokens, more than {length - 1}"):
        encode(TRACE, TOKENIZER, max_length=length - 1)


def test_drops_and_lists_what_is_too_long_when_asked() -> None:
    dropped: list[InputError] = []
    short = replace(TRACE, id="t2", reasoning="", response="Answer: 1")
    samples = encode_all([TRACE, short], TOKENIZER, max_length=20, too_long="drop", dropped=dropped)
    assert [sample.trace_id for sample in samples] == ["t2"]
    assert "'t1'" in str(dropped[0])
    with pytest.raises(InputError, match="no trace is left"):
        encode_all([TRACE], TOKENIZER, max_length=20, too_long="drop", dropped=dropped)


def test_show_marks_the_trained_tokens_without_colour_too() -> None:
    sample = encode(replace(TRACE, prompt="[red]9 :smile:"), TOKENIZER)
    prompt, _, trained = show(sample, TOKENIZER).plain.partition("⟦")
    assert "9" in prompt and "First·,·9" in trained
    assert prompt == TOKENIZER.decode(sample.ids[: sample.prompt_length])
    assert trained.endswith("<|end|>⟧") and trained.count("·") == sample.trained - 1
