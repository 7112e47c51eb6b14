from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from training import TOKENIZER
from transformers import PreTrainedTokenizerFast

from titer.errors import InputError
from titer.generate import Request
from titer.generate.text import render as sampled
from titer.records import Trace, split_thinking
from titer.records.thinking import opener_at_end
from titer.train import encode, encode_all, render, show
from titer.train.disk.claim import _sample_key

TRACE = Trace(
    id="t1",
    problem_id="p1",
    prompt="Use 3, 9 and 5 to make 42.",
    reasoning="First, 9 + 5 = 14.\n\nThen 14 * 3 = 42.",
    response="Answer: ( 9 + 5 ) * 3",
)


STEPS = ("First, 9 + 5 = 14. ", "But wait, that's 14 and not 42.\n\n", "Then 14 * 3 = 42.")
LABELLED = replace(TRACE, reasoning=f"  \n{''.join(STEPS)}\n ")  # templates get it stripped


def label(text: str) -> list[tuple[int, int]]:
    """The three steps are of kinds 4, 0 and 2."""
    return [(text.index(step.strip()), kind) for step, kind in zip(STEPS, (4, 0, 2), strict=True)] if text else []


def byte_level(*, trimmed: bool) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer, as Qwen's and Llama's are: a word's token begins with the space before it."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = processors.ByteLevel(trim_offsets=trimmed)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"]
    )
    core.train_from_iterator(["".join(STEPS)] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", chat_template=TOKENIZER.chat_template)


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
        "message['content']", "('' if message['role'] == 'assistant' else message['content'])"
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


def by_kind(trace: Trace, tokenizer) -> dict[int, str]:
    """The text of the trained tokens of each kind."""
    sample = encode(trace, tokenizer, label=label)
    assert sample.kinds is not None and len(sample.kinds) == sample.trained
    trained = sample.ids[len(sample.ids) - sample.trained :]
    kinds = dict.fromkeys(sample.kinds)
    return {k: tokenizer.decode([i for i, kind in zip(trained, sample.kinds, strict=True) if kind == k]) for k in kinds}


def test_a_token_is_of_the_kind_of_the_step_it_begins_in() -> None:
    found = by_kind(LABELLED, TOKENIZER)
    assert list(found) == [-1, 4, 0, 2]
    assert [found[kind].strip() for kind in (4, 2)] == [STEPS[0].strip(), STEPS[2]]
    assert found[0].endswith("\n\n") and found[-1] == f"<think>\n\n</think>\n\n{TRACE.response} <|end|>"


@pytest.mark.parametrize("trimmed", [True, False])
def test_a_token_that_begins_with_the_space_before_a_step_is_of_that_step(trimmed: bool) -> None:
    found = by_kind(LABELLED, byte_level(trimmed=trimmed))
    assert found[4] + found[0] + found[2] == "".join(STEPS)
    assert found[4] == STEPS[0].rstrip() and found[0].startswith(" But wait") and found[2] == STEPS[2]


def test_characters_of_many_tokens_do_not_shift_the_kinds() -> None:
    steps = ("因为 9 + 5 = 14。", "但是 🧪 不对。", "So 42.")
    trace = replace(TRACE, reasoning="".join(steps))
    sample = encode(
        trace,
        byte_level(trimmed=False),
        label=lambda text: [(text.index(step), kind) for kind, step in enumerate(steps)],
    )
    assert sample.kinds is not None
    trained = sample.ids[sample.prompt_length :]
    for kind, step in enumerate(steps):
        of_kind = [i for i, each in zip(trained, sample.kinds, strict=True) if each == kind]
        assert byte_level(trimmed=False).decode(of_kind) == step


def test_without_a_prompt_the_first_token_has_no_kind_either() -> None:
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = None
    found = by_kind(replace(LABELLED, prompt=""), tokenizer)
    assert found[4].strip() == STEPS[0].strip() and found[2] == STEPS[2]
    assert found[-1].strip().startswith("</think>")  # the first token of all was <think>


def test_tokens_outside_of_the_reasoning_have_no_kind() -> None:
    assert set(encode(replace(TRACE, reasoning=""), TOKENIZER, label=label).kinds or ()) == {-1}
    assert encode(TRACE, TOKENIZER).kinds is None


def test_labels_change_nothing_else_of_a_sample() -> None:
    labelled, plain = encode(LABELLED, TOKENIZER, label=label), encode(LABELLED, TOKENIZER)
    assert labelled._replace(kinds=None)[:4] == plain[:4]
    assert _sample_key(labelled) == _sample_key(plain)


TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}]


def test_earlier_turns_are_read_and_not_trained_on() -> None:
    sample = encode(replace(TRACE, meta={"earlier_messages": TURNS}), TOKENIZER)
    turns = [*TURNS, {"role": "user", "content": TRACE.prompt}]
    assert TOKENIZER.decode(sample.ids[: sample.prompt_length]) == TOKENIZER.decode(
        TOKENIZER.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    )
    assert sample.trained == encode(TRACE, TOKENIZER).trained


def test_what_cannot_be_written_without_a_template_is_refused() -> None:
    plain = with_template("")
    with pytest.raises(InputError, match="has messages before its prompt, and the tokenizer has no chat template"):
        encode(replace(TRACE, meta={"earlier_messages": TURNS}), plain)
    plain.eos_token = None
    with pytest.raises(InputError, match=r"eos_token.*neither a chat template nor an end-of-text token"):
        encode(TRACE, plain)


def test_turns_that_a_template_does_not_take_are_one_line() -> None:
    strict = with_template("{{ raise_exception('System role not supported') }}")
    with pytest.raises(InputError, match="does not take turns by user, assistant, user: System role not supported"):
        encode(replace(TRACE, meta={"earlier_messages": TURNS}), strict)
    with pytest.raises(InputError, match=r"meta\.earlier_messages.*not a list of messages"):
        encode(replace(TRACE, meta={"earlier_messages": "Be brief."}), TOKENIZER)


APART = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n"
    "{{ m.reasoning_content | default('') }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)  # opens the thinking itself, and writes an empty one where it is given none


def test_a_thinking_goes_where_the_template_has_a_place_for_it() -> None:
    tokenizer = with_template(APART)
    tokenizer.eos_token = "<|im_end|>"
    prompt, completion = render(TRACE, tokenizer)
    assert prompt.endswith("assistant\n<think>\n")
    assert completion == f"{TRACE.reasoning}\n</think>\n\n{TRACE.response}<|im_end|>"


TRL_TEMPLATES = Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"  # type: ignore[union-attr,arg-type]
IN_USE = [
    "qwen3",
    "qwen3_5_think",
    "qwen3_8",
    "gptoss",
    "gemma4",
    "gemma4_v5",
    "glm4moe",
    "llama3",
    "llama3_2",
    "gemma3",
]
IN_USE += ["deepseek_r1_distill_training", "nemotron_3_nano", "phi3", "lfm2_2_5_v2", "qwen2_5"]


def shipped(name: str) -> PreTrainedTokenizerFast:
    """The lab's tokenizer with a template as TRL ships it, and the end of text of its model."""
    if not (TRL_TEMPLATES / f"{name}.jinja").exists():
        pytest.skip(f"this TRL has no template {name}")
    tokenizer = with_template((TRL_TEMPLATES / f"{name}.jinja").read_text())
    ends = {
        **dict.fromkeys(("gemma4", "gemma4_v5", "gemma3"), "<eos>"),
        **{"llama3": "<|eot_id|>", "llama3_2": "<|eot_id|>", "gptoss": "<|return|>", "phi3": "<|endoftext|>"},
        "deepseek_r1_distill_training": "<｜end▁of▁sentence｜>",
    }
    tokenizer.eos_token, tokenizer.bos_token = ends.get(name, "<|im_end|>"), "<bos>"
    return tokenizer


@pytest.mark.parametrize("name", IN_USE)
def test_templates_of_models_in_use(name: str) -> None:
    """As TRL ships them: what is trained reads back as it was, and ends with the token that ends the turn."""
    tokenizer = shipped(name)
    prompt, completion = render(TRACE, tokenizer)
    last = {**dict.fromkeys(("gemma4", "gemma4_v5"), "<turn|>"), "gemma3": "<end_of_turn>", "glm4moe": ""}
    last["phi3"] = "<|end|>"
    assert completion.rstrip().endswith(last.get(name, tokenizer.eos_token)) and TRACE.response in completion
    thought = split_thinking(opener_at_end(prompt) + completion)
    assert TRACE.reasoning.strip() in thought.reasoning and TRACE.reasoning.strip() not in thought.response


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5_think", "nemotron_3_nano", "nemotron_3_ultra", "llama3", "gptoss"])
def test_answers_without_a_thinking_in_templates_of_models_in_use(name: str) -> None:
    prompt, completion = render(replace(TRACE, reasoning=""), shipped(name))
    thought = split_thinking(opener_at_end(prompt) + completion)
    assert thought.reasoning == "" and thought.closed and TRACE.response in thought.response


@pytest.mark.parametrize("reasoning", [TRACE.reasoning, ""])
def test_a_template_that_opens_a_thinking_and_drops_it_is_refused_by_that(reasoning: str) -> None:
    with pytest.raises(InputError, match="opens a thinking in its prompt, and writes trace 't1' without one"):
        render(replace(TRACE, reasoning=reasoning), shipped("deepseek_r1_distill"))


PARTS = (
    "{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'thinking' %}{{ '[THINK]' + part.thinking + '[/THINK]' }}"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{{ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)


def test_a_thinking_goes_into_a_part_where_the_template_takes_parts() -> None:
    """As Mistral's reasoning models do."""
    assert render(TRACE, with_template(PARTS))[1] == f"[THINK]{TRACE.reasoning}[/THINK]{TRACE.response}<|end|>"


def test_marks_that_nothing_here_reads_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    template = TOKENIZER.chat_template.replace(
        "message['content']",
        "('§' + message['reasoning_content'] + '§' if message['reasoning_content'] else '') + message['content']",
    )
    for _ in range(2):
        assert render(TRACE, with_template(template))[1].startswith("<think>")
    assert caplog.text.count("marks that titer does not read") == 1


def test_a_template_that_writes_the_date_writes_one_date() -> None:
    prompt, _ = render(TRACE, shipped("llama3_2"))
    assert "26 Jul 2024" in prompt
    assert "2024-07-26" in render(TRACE, shipped("gptoss"))[0]


@pytest.mark.parametrize("template", ["smolvlm", "idefics3"])
def test_a_template_that_leaves_out_the_prompt_is_refused(template: str) -> None:
    with pytest.raises(InputError, match="leaves out what the user says"):
        render(TRACE, shipped(template))


def test_whatever_a_template_raises_is_one_line() -> None:
    for template in ("{{ messages[0].content + 1 }}", "{{ messages[7].content.x }}", "{{ 1 / 0 }}"):
        with pytest.raises(InputError, match="does not take turns by user"):
            render(TRACE, with_template(template))


def test_a_completion_has_the_tokens_of_the_whole_text() -> None:
    """Llama 2's and Mistral's tokenizers put a mark before any text that they are given alone."""
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    core.decoder = decoders.Replace("▁", " ")
    core.train_from_iterator(
        [f"▁{TRACE.prompt}{LABELLED.reasoning}".replace(" ", "▁")] * 4,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=list("▁[]/INST<>think\n")),
    )
    template = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", chat_template=template)
    sample = encode(replace(LABELLED, reasoning=LABELLED.reasoning.strip()), tokenizer, label=label)
    whole = tokenizer("".join(render(LABELLED, tokenizer)), add_special_tokens=False)["input_ids"]
    assert sample.ids == whole and sample.prompt_length > 0
    assert tokenizer.decode(sample.ids[sample.prompt_length :]).startswith(" <think>")
    said = by_kind(replace(LABELLED, reasoning=LABELLED.reasoning.strip()), tokenizer)
    assert said[4].strip() == STEPS[0].strip() and said[2].strip() in STEPS[2]


@pytest.mark.parametrize("template", [TOKENIZER.chat_template, APART], ids=["lab", "apart"])
def test_a_thinking_that_the_answer_or_the_prompt_repeats_is_trained_on_all_the_same(template: str) -> None:
    repeated = replace(TRACE, response=f"{TRACE.reasoning}\n\n{TRACE.response}")
    for trace in (repeated, replace(TRACE, reasoning="3, 9 and 5")):
        prompt, completion = render(trace, with_template(template))
        thought = split_thinking(opener_at_end(prompt) + completion)
        assert thought.reasoning.strip() == trace.reasoning and trace.response in thought.response


def test_without_a_template_the_prompt_begins_as_it_does_in_sampling() -> None:
    plain = byte_level(trimmed=True)
    plain.chat_template = None
    plain.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", plain.eos_token_id)]
    )
    sample = encode(TRACE, plain)
    asked = sampled(plain, Request("r", TRACE.prompt)).ids
    assert sample.ids[: sample.prompt_length] == asked and asked[0] == plain.eos_token_id
    assert plain.decode(sample.ids[sample.prompt_length :]).startswith(" <think>")


@pytest.mark.parametrize(
    ("name", "opening"),
    [("gptoss", "<|channel|>analysis<|message|>"), ("qwen3", "<think>\n"), ("lfm2_2_5_v2", "<think>"), ("qwen3_8", "")],
)
def test_a_thinking_that_goes_on_is_opened_as_the_template_opens_it(name: str, opening: str) -> None:
    tokenizer = shipped(name)
    asked = sampled(tokenizer, Request("r", TRACE.prompt, prefix="<think>\nFirst, 9 + 5"))
    prompt, completion = render(TRACE, tokenizer)
    assert tokenizer.decode(asked.ids) == tokenizer.decode(tokenizer(f"{prompt}{opening}First, 9 + 5")["input_ids"])
    assert completion.startswith(f"{opening}First, 9 + 5")
    thought = split_thinking(asked.opener + completion.removeprefix(f"{opening}First, 9 + 5"))
    assert thought.reasoning == TRACE.reasoning and TRACE.response in thought.response


def test_a_prefix_of_the_answer_stays_as_it_is() -> None:
    asked = sampled(shipped("gptoss"), Request("r", TRACE.prompt, prefix="First, 9 + 5"))
    assert asked.opener == "First, 9 + 5"


TEXT_ALONE = (
    "{% for m in messages %}{{ '<|start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and m.content is string and '</think>' in m.content %}"
    "{{ m.content.split('</think>')[-1] | trim }}{% else %}{{ m.content | trim }}{% endif %}{{ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)


def test_a_list_of_parts_that_a_template_prints_is_never_trained_on(caplog: pytest.LogCaptureFixture) -> None:
    short = replace(TRACE, reasoning="Two and two is four.")
    with pytest.raises(InputError, match="drops the thinking"):
        render(short, with_template(TEXT_ALONE))
    asked = sampled(with_template(TEXT_ALONE), Request("r", "2 + 2?", prefix="<think>\nTwo"))
    assert asked.opener == "<think>\nTwo"
    kept = with_template(TEXT_ALONE.replace("'</think>' in m.content", "false"))
    assert render(short, kept)[1] == f"<think>\n{short.reasoning}\n</think>\n\n{TRACE.response}<|end|>"
    assert "marks" not in caplog.text


def test_a_template_that_escapes_a_prompt_is_taken() -> None:
    escapes = TOKENIZER.chat_template.replace("message['content']", "(message['content'] | tojson)")
    assert render(replace(TRACE, reasoning="", prompt='Is "a" < b?'), with_template(escapes))[0].count("Is") == 1
