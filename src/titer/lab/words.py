"""The lab's vocabulary and its word-level tokenizer: one token per number, a few hundred words.

tokenizer = make_tokenizer()
tokenizer.decode(tokenizer("Use 3, 9 and 5 to make 42.")["input_ids"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from titer.lab.arithmetic import LARGEST

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, USER, ASSISTANT, END, UNKNOWN = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", "<|unk|>"

# Things that the general tasks copy, reverse and repeat.
NOUNS = tuple(
    """apple arrow autumn ball bank barn basket beach bear bell bench bird boat bone book boot bottle bowl box
    branch bread bridge broom brush bucket butter button cabin cake camel camera candle canoe carpet castle cat
    chain chair chalk cheese cherry circle cloud coat coin comb copper corn cotton cow crab crane crown cup
    curtain daisy deer desk dog door dragon dress drum duck eagle ear egg elbow engine fan farm feather fence
    field finger fire fish flag flame flower flute fog forest fork fox frog garden gate ghost glass glove goat
    gold goose grape grass hammer hand harbor hat hawk hen hill honey horn horse house ice ink island jacket jar
    jewel jungle key king kite knee knife ladder lake lamp leaf lemon letter lion lock magnet map maple mask
    meadow milk mirror moon mouse needle nest net night nose oak ocean olive onion orange owl paint paper parrot
    path peach pearl pen pencil piano pig pine plate plum pocket pond potato queen rabbit radio rain ribbon rice
    ring river road robe rock roof rope rose sail salt sand saw school shell ship shirt shoe silk silver sky sled
    snake snow soap spoon spring square star stone storm stove straw sugar summer sun swan sword table tail tea
    tent thread thumb tiger tower train tree truck tunnel valley vase violin wagon wall watch water wave wheel
    whistle wind window wing winter wolf wood wool yard zebra""".split()
)
COLOURS = ("red", "blue", "green", "white", "black")

# Words of prompts, answers and traces.
GLUE = tuple(
    """Use to make and Make from Keep the order Pick numbers that add up Sort Reverse Repeat Which is larger or
    smaller Say times Write in brackets Compute Check right wrong Yes No Answer We need First Then Next Finally so
    now have which leaves target This gives it done Let me try Perhaps Maybe Another way Alternatively Wait but
    not that does work Hmm go back check again again of using each once With I cannot help can Sorry the a with
    instead could also start think about another idea Start over Going because we are this one by as if then same
    difference sum product reach reaches far close too small big still only left what was made before step Step
    by-step Since Therefore Hence be will it's plus minus equals did already OK Good keep two three four Verify
    verified correct All every number used answer So Instead Actually different approach Suppose
    Consider""".split()
)
SYMBOLS = ("+", "-", "*", "/", "=", "(", ")", ",", ".", ":", "?", "!", "\n", "\n\n")
TAGS = ("<think>", "</think>")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|> ' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|> ' }}{% endif %}"
)


def vocabulary() -> list[str]:
    """Every token, in the order of its id."""
    numbers = [str(n) for n in range(LARGEST + 1)]
    tokens = [PAD, USER, ASSISTANT, END, UNKNOWN, *TAGS, *SYMBOLS, *numbers, *GLUE, *COLOURS, *NOUNS]
    return list(dict.fromkeys(tokens))


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, chat template included.

    Text with single spaces and no space before `,.:?!` survives a round trip.
    """
    # not above: making problems and traces needs none of it
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {token: i for i, token in enumerate(vocabulary())}
    core = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    pieces = Regex(r"\n\n|\n|</?think>|\d+|[A-Za-z'-]*[A-Za-z]|[^\w\s]")
    core.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="removed", invert=True)
    core.decoder = decoders.Sequence(
        [
            decoders.WordPiece(prefix="##", cleanup=False),  # joins by spaces
            decoders.Fuse(),
            *[decoders.Replace(f" {mark}", mark) for mark in ".,:?!"],
            decoders.Replace(Regex(r" *\n *"), "\n"),
        ]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
