from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from titer.traces import FEATURES, cut_text, measure_texts, read_steps
from titer.traces.cut import cut, join

# 64 texts, 130 cut points: each text as the list of steps that a careful reader would cut it into.
# White space belongs to the step before it.
CUTS = {
    # how reasoning models write
    "R1": ["Okay, so I need to find 3.14 × 2. ", "Hmm, that's 6.28, right? ", "Wait, let me double-check.\n\n", "Yes."],
    "QwQ": ["Alternatively, maybe I can use vectors.\n\n", "But that's messy! ", "Let me think again... ", "Okay."],
    "Qwen3 spaced dollars": ["So, $ i $ is the number of jigs.\n\n", "- $ g $ = 7.\n", "- $ h $ = 8.\n\n", "Then."],
    "Qwen3 rule": ["$$\n1 + 1 = 2.\n$$\n\n", "---\n\n", "### Step 2: Double it\n\n", "We get 4."],
    "gpt-oss": ["We need compute f(3). ", "f(3)=9. ", "a1 = 4. ", "So sum 13. ", "Answer 13."],
    "short CoT": ["She sells 16 - 3 - 4 = 9 eggs. ", "She makes 9 * 2 = $18.\n", "#### 18"],
    "verdict": ["Is it 5? ", "No. ", "Is it 6? ", "Yes! ", "Done."],
    # dots that end no sentence
    "number": ["Pi is 3.14 and e is 2.718. ", "Both are irrational."],
    "e.g.": ["Take a small case, e.g. N = 3, first. ", "It works."],
    "i.e.": ["It is even, i.e. It ends in 0. ", "Good."],
    "title": ["Dr. Smith and Mrs. Jones met Mr. X. ", "They left."],
    "cf.": ["It grows (cf. Eq. (5) and Fig. 3) fast. ", "So it diverges."],
    "vs.": ["Compare A vs. B first. ", "Then C."],
    "etc.": ["Primes (2, 3, 5, etc.) and etc. are odd. ", "Mostly."],
    "multiplied": ["Now 3 . 4 = 12. ", "Next."],
    "factorial": ["10! = 3628800. ", "And 5! × 2 = 240. ", "So 4! is 24."],
    "factorial in brackets": ["There are (k! times more) and (n-1)! ways. ", "And n! in all. ", "So few!"],
    "shout": ["That's it! ", "we're done! ", "Great."],
    "dots between factors": ["8! is 8 × 7 × ... × 1. ", "So is 7 × 6 × ... × 1."],
    "dots": ["Hmm... maybe not. ", "Wait... ", "But it works."],
    "question and shout": ["What?! ", "No way!! ", "Yes."],
    "afternoon": ["At 5 p.m. in the evening it rains. ", "Then it stops."],
    # lists, headings, tables
    "numbered": ["1. First thing.\n", "2. Second thing. ", "It is long.\n", "10. Tenth."],
    "numbered deeper": ["1. **Given:** x.\n   ", "- So y.\n   ", "- So z.\n", "2. Then w."],
    "dashes": ["We have:\n", "- one\n", "- two, and\n  its rest\n", "* three\n", "• four"],
    "letters": ["a) one\n", "b) two\n", "(c) three"],
    "heading": ["## Step 1: Find x\n", "It is 3.\n\n", "**Step 2:** Find y. ", "It is 4."],
    "table": ["| a | b |\n", "|---|---|\n", "| 1 | 2 |\n"],
    "quotation": ["> It holds. ", "Always.\n", "> Trust me."],
    "equations line by line": ["x + y = 5\n", "2x = 6\n", "So x = 3"],
    # lines
    "wrapped": ["This sentence was wrapped by\nan editor, and goes on. ", "This one not."],
    "wrapped equation": ["So a + b\n= 11 and c =\n12 hold. ", "Good."],
    "wrapped after a comma": ["If a = 5,\nB is 6. ", "So be it."],
    "CRLF": ["One.\r\n", "Two\r\nwrapped.\r\n\r\n", "Three."],
    "paragraphs": ["no stop\n\n", "none here\n \n", "nor here"],
    "blank around": ["  \n\n Leading. ", "Then.  \n\n"],
    "tabs": ["First.\t", "Second.  ", "Third."],
    # LaTeX
    "inline": [r"It is \( a. B \) and \(c! D\) here. ", r"\(x\) is odd. ", "Good."],
    "display": ["The sum is:\n\\[ a = b. \\]\n", "Then we go on."],
    "display on lines": ["Given:\n\\[\nm + 1 = 8.\n\\]\n\n", "We square:\n\\[\nm = 7\n\\]\n", "So \\(m = 7\\)."],
    "display with blank line": ["So\n\n", "\\[\nx = 2.\n\ny = 3.\n\\]\n\n", "Then."],
    "inline in display": ["\\[\na. \\text{(as \\( d. E \\) holds)}\n\\]\n", "Then."],
    "environment": ["\\begin{align}\na &= b. \\\\\nC &= d.\n\\end{align}\n", "Then."],
    "unclosed": [r"So \( x = 2. ", "Then y = 3. ", "Good."],
    "line break": ["\\[ a \\\\[2pt] B. C \\]\n", "Then."],
    "dollars": ["If $x = 2. Y$ holds, then $z$. ", "$w$ is next. ", "So $v$."],
    "double dollars": ["We get\n$$\nx = 2. Y\n$$\n", "Then $$a. B$$ too. ", "Good."],
    "prices": ["It costs $5 and $10. ", "Then $20. ", "Total $35."],
    "escaped prices": [r"It costs \$5. ", r"Then \$10. ", "Total 15."],
    "price beside formula": ["It costs $5. ", "Let $x = 2$. ", "Then $y = 3$."],
    "boxed": ["So the answer is \\boxed{2}. ", "**Final Answer:** 2."],
    # code
    "fence": ["Code:\n```python\nx = 1. \n\nY = 2. Z\n```\n", "Then it runs."],
    "open fence": ["```python\n", "X = 1.\n\n", "Then text. ", "More."],
    # quotes and brackets
    "straight quotes": ['He said "Stop." ', 'Then "Go!" ', "Then he left."],
    "curly quotes": ["He said “Stop.” ", "“Why?” ", "He said ‘No.’ ", "Then he left."],
    "brackets": ["It works. ", "(It always does.) ", "[See below.] ", "Good."],
    "bold": ["**It works.** ", "*Always.* ", "_Really._ ", "Good."],
    # other scripts
    "Chinese": ["首先，我们有三个。", "然后，我们算！", "对吗？", "是的。"],
    "Chinese quotes": ["他说：“停。”", "然后‘走！’", "「好。」", "（完。）", "结束"],
    "Chinese doubled": ["真的吗？！", "当然！！！", "好。 \n", "完。"],
    "mixed": ["我们 have 3.14 apples. ", "然后 eat them. ", "Done。", "OK then. ", "好。"],
    "Russian": ["Это верно. ", "Дальше? ", "Нет."],
    "accents": ["Voilà. ", "Été comme hiver. ", "Où?"],
    "signs": ["Then x → y. ≤ is meant, and 2 × 3. × too. ", "So."],
}


@pytest.mark.parametrize("steps", CUTS.values(), ids=CUTS)
def test_cuts_where_a_reader_would(steps: list[str]) -> None:
    assert cut_text("".join(steps)) == steps


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\0", "."])
def test_text_without_words(text: str) -> None:
    assert cut_text(text) == ([text] if text else [])
    assert len(measure_texts([text])["steps"]) == 1


def test_a_formula_is_closed_within_reach() -> None:
    long = "\\[ " + "A = b. " * 1000 + "\\]"
    assert len(cut_text(long)) == 1001  # an opener without a closer for 4,000 bytes opens nothing
    assert len(cut_text("\\[ " + "A = b. " * 100 + "\\]")) == 1


def test_nothing_opened_in_one_text_is_closed_in_the_next() -> None:
    halves = [r"So \( x. Then", r"y \) is. Then", "A: ```x. Then", "So ```y. Then", "Is $x. Then", "y$ is. Then"]
    joined = join([half.encode() for half in halves])
    owner = np.searchsorted(joined.starts, cut(joined), side="right") - 1
    assert np.bincount(owner).tolist() == [2] * len(halves)
    assert (
        len(cut_text("".join(halves[:2])))
        == len(cut_text("".join(halves[2:4])))
        == len(cut_text("".join(halves[4:])))
        == 2
    )


# Pieces that the rules look at, and characters that they must survive.
PIECES = st.sampled_from(
    [
        *(
            "\\(",
            "\\)",
            "\\[",
            "\\]",
            "\\begin{a}",
            "\\end{a}",
            "$",
            "$$",
            "```",
            "`",
            "\\",
            "\n",
            "\n\n",
            "\r\n",
            "\r",
        ),
        *(
            " ",
            "  ",
            "\t",
            ". ",
            "! ",
            "? ",
            "...",
            "e.g. ",
            "1. ",
            "- ",
            "。",
            "？！",
            "”",
            "「",
            "’",
            "“",
            "Perhaps ",
        ),
        *(
            "Wait, no. ",
            "So x = 3. ",
            "Let me check. ",
            "Alternatively, ",
            "The answer is 5. ",
            "然后",
            "x",
            "A",
            "é",
            "5",
        ),
        *("\0", "\x0b", "\x1c", "\x85", "\u2028", "\u3000", "\ufeff", "\u200b", "\xa0", "\ud800", "\udfff", "🎉", "İ"),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=30).map("".join),
    st.text(st.characters(exclude_categories=[]), max_size=60),  # lone surrogates included
)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
@example("\ud800. \udfffA")
def test_the_steps_joined_are_the_text(text: str) -> None:
    steps = read_steps(text)
    assert [text[step.start : step.end] for step in steps] == [step.text for step in steps] == cut_text(text)
    assert "".join(step.text for step in steps) == text
    assert all(step.text for step in steps) and all(a.end == b.start for a, b in pairwise(steps))
    assert all(step.text.strip(" \t\n\r\v\f") for step in steps) or not text.strip(" \t\n\r\v\f")


@given(st.lists(TEXTS, max_size=6))
@settings(max_examples=200, deadline=None)
@example(["", "A. B", "", ""])
def test_a_text_is_measured_the_same_alone_as_among_others(texts: list[str]) -> None:
    together = measure_texts(texts)
    alone = [measure_texts([text]) for text in texts]
    for name in FEATURES:
        assert np.array_equal(together[name], [table[name][0] for table in alone], equal_nan=True), name


PATHOLOGICAL = {
    "open fence": ("```\n", "x = 1. \n"),
    "open dollar": ("Let $", "x = 1. Then "),
    "open latex": ("So \\(", "x = 1. Then "),
    "one token": ("", "perhaps "),
    "one line": ("", "So we have x = 2 and then more "),
    "steps of one word": ("", "Perhaps.\n"),
    "given up again and again": ("", "Perhaps.\n\nThat is wrong.\n\n"),
    **{
        repr(unit): ("", unit)
        for unit in ("\n", " ", "$", "$ ", "\\(", "\\) \\( ", "`", "```\n", "。", "1. ", "\ud800")
    },
}


@pytest.mark.parametrize(("head", "unit"), PATHOLOGICAL.values(), ids=PATHOLOGICAL)
def test_time_grows_with_the_length(head: str, unit: str) -> None:
    size = 60_000 // len(unit.encode("utf-8", "surrogatepass"))

    def seconds(times: int) -> float:
        began = time.process_time()
        assert measure_texts([head + unit * times])["steps"][0] >= 1
        return time.process_time() - began

    seconds(size)  # builds tables
    small = min(seconds(size) for _ in range(3))
    large = min(seconds(8 * size) for _ in range(3))
    assert large < 24 * small + 0.02  # 8 times the work; the square would be 64 times
