from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from titer.traces import BEHAVIOURS, DESCRIPTIONS, FEATURES, Step, cue_share, features, measure_texts, read_steps
from titer.traces.features import batches, read, repeated_share, transitions

SENTENCES = st.sampled_from(
    [
        *("Alternatively, use vectors. ", "Perhaps it is odd.\n\n", "Let me check that. ", "That doesn't work. "),
        *("So 3 + 4 = 7. ", "The answer is 7.\n", "Another way: add them.\n", "Yes, it checks out. ", "然后，我们算！"),
        *("也许不对。", "It is seven. ", "我们 have three apples in all. ", "Perhaps another one? ", "anotherness. "),
    ]
)
TRACES = st.lists(SENTENCES, max_size=25).map("".join)


def one(text: str) -> dict[str, float]:
    return {name: float(column[0]) for name, column in measure_texts([text]).items()}


def share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else math.nan


def foreign(step: Step) -> bool:
    wide = re.findall("[\u3000-\ud7ff\u0380-\u07ff]", step.text)
    return 3 * sum(len(sign.encode()) for sign in wide) >= len(step.text.encode())


def naive(text: str) -> dict[str, float]:
    """Every feature from the steps, one at a time."""
    steps = read_steps(text)
    kinds = [step.behaviour for step in steps]
    runs = [(kind, len(list(group))) for kind, group in groupby(kinds)]
    answered = kinds.index("recap") if "recap" in kinds else len(kinds)
    starts = [i for i, kind in enumerate(kinds) if kind == "verify" and (i == 0 or kinds[i - 1] != "verify")]
    size = [len(step.text.encode()) for step in steps]
    words = re.split(r"[ \n]+", text.lower().strip()) if text.strip() else []
    spaced = re.findall(r"(?=(?:(?<=\s)|^)(\S+\s+\S+\s+\S+\s+\S+)(?:\s|$))", text.lower().strip())
    assert len(spaced) == max(0, len(words) - 3)
    return {
        "steps": len(steps),
        "characters": len(text.encode()),
        **{f"{name}_share": share([kind == name for kind in kinds]) for name in BEHAVIOURS},
        "forward_share": share([kind in {"deduce", "recap"} for kind in kinds]),
        "propose_to_propose": share([b == "propose" for a, b in pairwise(kinds) if a == "propose"]),
        "deduce_to_deduce": share([b == "deduce" for a, b in pairwise(kinds) if a == "deduce"]),
        "cue_share": share(
            [bool(re.search(r"\b(perhaps|another|alternatively)\b", step.text, re.I | re.A)) for step in steps]
        ),
        "lines": max((step.line for step in steps), default=0),
        "dead_end_share": sum(n for n, step in zip(size, steps, strict=True) if step.dead) / sum(size)
        if size
        else math.nan,
        "checks": sum(kind == "verify" for kind, _ in runs),
        "checks_after_answer": sum(start > answered for start in starts),
        "repeated_share": share([gram in spaced[:i] for i, gram in enumerate(spaced)]),
        "language_switches": sum(foreign(a) != foreign(b) for a, b in pairwise(steps)),
    }


@given(TRACES)
@settings(max_examples=150, deadline=None)
@example("")
def test_every_feature_is_what_counting_step_by_step_gives(text: str) -> None:
    table, expected = one(text), naive(text)
    for name, value in expected.items():
        assert table[name] == pytest.approx(value, nan_ok=True), name
    assert set(FEATURES) - set(expected) == {"depth", "given_up"}  # by hand below, and in test_graph.py


def test_lines_by_hand() -> None:
    text = (
        "The sum is seven. "  # the trunk
        "Let's try vectors. It is long. "  # 1
        "Is it shorter with matrices? It is wide. That doesn't work. "  # 2 on 1, given up
        "Alternatively, use sets. So 3 + 4 = 7. The answer is 7."  # 3 beside 2
    )
    table = one(text)
    assert [table[name] for name in ("lines", "depth", "given_up")] == [3, 2, 1]
    dead = len("Is it shorter with matrices? It is wide. That doesn't work. ")
    assert table["dead_end_share"] == pytest.approx(dead / len(text))


def test_columns() -> None:
    table = measure_texts(["One.", "", "Two. Three."])
    assert tuple(table) == FEATURES == tuple(DESCRIPTIONS)
    assert table["steps"].tolist() == [1, 0, 2] and table["characters"].tolist() == [4, 0, 11]
    assert all(column.dtype == float and column.shape == (3,) for column in table.values())
    assert all(len(column) == 0 for column in measure_texts([]).values())


def test_where_there_is_nothing_to_count_is_nan_and_what_is_none_is_zero() -> None:
    table = one("")
    assert {name for name, value in table.items() if math.isnan(value)} == {
        *(f"{name}_share" for name in (*BEHAVIOURS, "forward", "cue", "dead_end", "repeated")),
        *("propose_to_propose", "deduce_to_deduce"),
    }
    assert sum(value for value in table.values() if not math.isnan(value)) == 0
    assert math.isnan(one("Only three words.")["repeated_share"])
    assert math.isnan(one("Perhaps.")["propose_to_propose"])  # followed by nothing


def test_cue_share_is_the_share_of_steps_with_a_cue() -> None:
    assert cue_share("Perhaps a. Another way: perhaps. Then b. Done.") == 0.5
    assert cue_share("ALTERNATIVELY, x") == 1.0
    assert cue_share("The anotherness perhapsed.") == 0.0 == cue_share("")


def test_transitions_stay_within_a_text() -> None:
    found = transitions(read(["Perhaps a. Perhaps b. So 1 = 1.", "", "So 1 = 1. Perhaps c.", "So 2 = 2."]))
    propose, deduce = BEHAVIOURS.index("propose"), BEHAVIOURS.index("deduce")
    assert found[:, propose, propose].tolist() == [1, 0, 0, 0] and found[:, propose, deduce].tolist() == [1, 0, 0, 0]
    assert found[:, deduce, propose].tolist() == [0, 0, 1, 0] and found.sum() == 3


WORDS = st.lists(st.sampled_from(["a", "B", "b", "ab", "é", "12", "a\u2028b"]), max_size=40)


@given(st.lists(st.tuples(WORDS, st.sampled_from([" ", "\n", "  \n"])), max_size=4))
@settings(max_examples=200, deadline=None)
def test_repeated_share_counts_word_sequences(texts: list[tuple[list[str], str]]) -> None:
    found = repeated_share(read([gap.join(words) for words, gap in texts]).text)
    for (words, _), value in zip(texts, found, strict=True):
        grams = [tuple(word.replace("B", "b") for word in words[i : i + 4]) for i in range(len(words) - 3)]
        seen = [gram in grams[:i] for i, gram in enumerate(grams)]
        assert value == pytest.approx(share(seen), nan_ok=True)


@pytest.mark.parametrize("kinds", [10, 1000, 100_000])
def test_repeated_share_of_long_texts(kinds: int) -> None:
    """More sequences than the table of slots has room for, none of them confused."""
    numbers = np.random.default_rng(kinds).integers(0, kinds, 120_000).tolist()
    grams = list(zip(*(numbers[i:] for i in range(4)), strict=False))
    expected = 1 - len(set(grams)) / len(grams)
    assert repeated_share(read([" ".join(map(str, numbers))]).text)[0] == pytest.approx(expected, abs=3e-5)


def test_a_loop_repeats() -> None:
    assert one("So x = 2, then y. " * 50)["repeated_share"] > 0.95
    assert one(" ".join(map(str, range(500))))["repeated_share"] == 0


def test_language_switches_need_letters() -> None:
    assert one("We add them. 然后，我们算。 So it is 7. 好的。")["language_switches"] == 3
    assert one("We add. Потом мы считаем. Then we stop.")["language_switches"] == 2
    assert one("We add. हम जोड़ते हैं। Then we stop. เราบวก. We stop.")["language_switches"] == 4
    assert one("We set this.\n\n$\\alpha$ θ=π/4, φ=β+γ+δ\n\nThus we stop.")["language_switches"] == 0
    assert one("We add × ≤ → 🎉🎉. “It” is √2 – é. We stop.")["language_switches"] == 0


def test_many_texts_are_measured_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with their number, and nothing else changes."""
    texts = [f"Perhaps {i}. " * (i % 7) + "So 1 = 1." * (i % 2) for i in range(50)]
    whole = measure_texts(texts)
    monkeypatch.setattr(features, "BATCH", 100)
    parts = list(batches(texts))
    assert len(parts) > 10 and [text for part in parts for text in part] == texts
    assert max(sum(map(len, part)) for part in parts) < 200
    split = measure_texts(texts)
    assert all(np.array_equal(whole[name], split[name], equal_nan=True) for name in FEATURES)
