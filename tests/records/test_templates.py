"""Which tokens end a turn: the generation config's, the tokenizer's, and those that the chat template writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from titer.records.templates import end_ids, template_ends

SPECIAL = [
    "<eos>", "<|im_start|>", "<|im_end|>", "<|end|>", "<|return|>", "<|eot_id|>", "<|start_header_id|>",
    "<end_of_turn>", "<start_of_turn>", "<turn|>", "<|turn>", "<think>", "</think>", "<|user|>",
]  # fmt: skip


def tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", bos_token="<bos>")
    made.add_special_tokens({"extra_special_tokens": SPECIAL})
    made.chat_template = template
    return made


TURNS = "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content | trim }}END{% endfor %}"
AFTER = {
    "<|im_end|>\n": ["<|im_end|>"],
    " <|end|>": ["<|end|>"],
    "<|end|>\n<eos>": ["<|end|>"],
    "<|im_end|><eos>": ["<|im_end|>", "<eos>"],
    "<|eot_id|><|start_header_id|>": ["<|eot_id|>"],  # a template that always opens the next turn
    "<|return|>": ["<|return|>"],
    "\n\nstop": [],
    "": [],
}


@pytest.mark.parametrize("after", AFTER)
def test_the_templates_end_is_what_it_writes_after_an_answer(after: str) -> None:
    assert template_ends(tokenizer(TURNS.replace("END", after))) == AFTER[after]


@pytest.mark.parametrize(
    ("name", "ends"),
    {"qwen3": ["<|im_end|>"], "gptoss": ["<|return|>"], "gemma3": ["<end_of_turn>"], "gemma4": ["<turn|>"],
     "llama3": ["<|eot_id|>"], "glm4moe": []}.items(),
)  # fmt: skip
def test_the_ends_of_templates_in_use(name: str, ends: list[str]) -> None:
    """As TRL ships them."""
    folder = Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"  # type: ignore[union-attr,arg-type]
    if not (folder / f"{name}.jinja").exists():
        pytest.skip(f"this TRL has no template {name}")
    assert template_ends(tokenizer((folder / f"{name}.jinja").read_text())) == ends


@pytest.mark.parametrize(
    "template",
    [None, "{{ raise_exception('no') }}", "{{ 1 + 'a' }}", "<|im_end|>{{ messages[0].content }}", "<|im_end|>"],
)
def test_a_template_that_writes_no_answer_ends_none(template: str | None) -> None:
    assert template_ends(tokenizer(template)) == []


def test_every_end_counts_once() -> None:
    chat = tokenizer(TURNS.replace("END", "<|im_end|>"))
    eos, end, other = chat.convert_tokens_to_ids(["<eos>", "<|im_end|>", "<|end|>"])
    assert end_ids(None, chat) == end_ids(eos, chat) == end_ids([eos, end], chat) == {eos, end}
    assert end_ids(other, chat) == {eos, end, other}
    assert end_ids([other], tokenizer(None)) == {eos, other}
