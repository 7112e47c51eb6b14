from __future__ import annotations

import base64
import json
import math
import random
import re
import zlib
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_sample import ATTACKS, BEHAVIOURS, teacher_comparison

import titer.report
from titer.records.results import Interval
from titer.report import ReadStep, ReportData, render, render_comparison
from titer.report.articles import MOST_ARCHIVED, MOST_ITEMS, cut
from titer.report.page import safe_json, whisker
from titer.report.reader import LONGEST_TEXT, MOST_STEPS

CSS = (Path(titer.report.__file__).parent / "static" / "page.css").read_text(encoding="utf-8")
VOID = {"meta", "input", "line", "br"}


class Outline(HTMLParser):
    """The page as a parser sees it: whether elements nest, which ids and links it has, its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.handlers: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags[tag] += 1
        self.handlers += [name for name in named if name.startswith("on")]
        if named.get("id"):
            self.ids[named["id"] or ""] += 1
        if tag == "a":
            self.links.append(named["href"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_the_page_nests_and_its_links_lead_somewhere(sample: ReportData) -> None:
    outline = Outline(render(sample))
    assert set(outline.ids.values()) == {1}
    assert all(link.startswith("#") and link[1:] in outline.ids for link in outline.links)
    assert outline.handlers == []


def test_sections_come_in_order_and_the_verdict_first(sample: ReportData) -> None:
    page = render(sample)
    assert headings(page) == [
        "What came out",
        "What was decided, and why",
        "Scores",
        "Training",
        "Over the checkpoints",
        "Teachers compared",
        "Traces to read",
        "Rollouts to read",
        "How it was made",
    ]
    text = " ".join(Outline(page).text)
    assert text.index(sample.verdicts[0].label) < text.index("Which loss?")
    for decision in sample.decisions:
        assert f"{decision.setting}=…" in text


def test_empty_parts_are_left_out(sample: ReportData) -> None:
    assert headings(render(ReportData(title="nothing yet"))) == []
    assert headings(render(ReportData(title="scores", suites=sample.suites))) == ["Scores"]
    page = render(replace(sample, traces=(), curation=None, training=(), probes=()))
    assert "Training" not in headings(page) and "Traces to read" not in headings(page)
    assert 'data-figure="loss"' not in page
    assert "Where the gradient goes" in render(sample)
    old = [replace(row, tokens={}, pull={}) for row in sample.training]
    assert "Where the gradient goes" not in render(replace(sample, training=old))


def test_the_page_needs_no_network_and_is_small(sample: ReportData) -> None:
    page = render(sample)
    assert len(page.encode()) < 1_500_000
    outline = Outline(page)
    assert outline.tags["link"] == outline.tags["img"] == outline.tags["iframe"] == 0
    assert "default-src &#39;none&#39;" in page


def test_hostile_text_stays_text(sample: ReportData, hostile: ReportData) -> None:
    page = render(hostile)
    clean, attacked = Outline(render(sample)), Outline(page)
    assert attacked.tags["script"] == clean.tags["script"] == 3
    assert attacked.handlers == []
    assert attacked.tags.keys() <= clean.tags.keys()
    assert page.count("<!--") == 0
    text = "".join(attacked.text)
    for attack in ATTACKS[:6]:
        assert attack in text


def test_a_comparison_has_a_page_of_its_own() -> None:
    page = render_comparison(teacher_comparison())
    outline = Outline(page)
    text = " ".join("".join(outline.text).split())
    assert headings(page) == ["Teachers compared"] and outline.tags["nav"] == 0
    assert "over 90 of the 100 problems that both have traces of." in text
    assert "97.0 % (A) and – (B) are right." in text and "Only the first 90 of them were looked at." in text
    assert text.count("A more") == 4 and text.count("B more") == 3
    assert "propose_to_propose, over 17 problems" in text and "+0.50 [+0.40, +0.60]" in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_every_step_says_what_it_does_and_abandoned_ones_fold(two_teachers: ReportData) -> None:
    page = render(two_teachers)
    outline = Outline(page)
    pairs = two_teachers.trace_pairs
    steps = [step for pair in pairs for side in (pair.left, pair.right) for step in side.steps]
    for name in BEHAVIOURS:
        found = page.count(f'<li class="step b-{name}">')
        assert found == sum(step.behaviour == name for step in steps) == page.count(f'<span class="does">{name}<')
    assert page.count("<summary>2 abandoned lines, 3 steps ") == len(pairs)
    assert outline.tags["article"] == len(pairs) + len(two_teachers.pairs) + len(two_teachers.verdicts)


def test_the_legend_says_what_each_behaviour_is(two_teachers: ReportData) -> None:
    text = "".join(Outline(render(two_teachers)).text)
    assert all(meaning in text for meaning in BEHAVIOURS.values())


def test_a_trace_of_very_many_steps_is_cut_and_says_so(sample: ReportData) -> None:
    steps = [ReadStep(text="x", behaviour="deduce")] * (MOST_STEPS + 7)
    page = render(ReportData(title="long", traces=[replace(sample.traces[0], steps=steps)]))
    assert page.count('<li class="step') == MOST_STEPS and "7 more steps are not shown" in page
    steps = [ReadStep(text="x" * 9_000, behaviour="deduce")] * 3
    page = render(ReportData(title="long", traces=[replace(sample.traces[0], steps=steps)]))
    assert page.count('<li class="step') == 2 and "1 more steps are not shown" in page


def test_lone_surrogates_of_model_text_can_be_written(hostile: ReportData) -> None:
    render(hostile).encode("utf-8")


texts = st.text(st.sampled_from("<>&/!-\"'\u2028\u2029\0é\U0001f9ea") | st.characters())


@settings(max_examples=100, deadline=None)
@given(st.lists(texts | st.integers() | st.dictionaries(texts, texts, max_size=3), max_size=5))
def test_embedded_json_cannot_end_its_script_and_reads_back(value: object) -> None:
    text = str(safe_json(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_unknown_numbers_become_null() -> None:
    assert safe_json({"a": [float("nan"), float("inf"), 1.5]}) == '{"a":[null,null,1.5]}'


def test_long_texts_are_cut_and_say_so() -> None:
    assert cut("short") == "short"
    text = cut("x" * (LONGEST_TEXT + 1234))
    assert text.startswith("x" * LONGEST_TEXT) and text.endswith("1,234 more characters are not shown")


def unpacked(page: str) -> list[Any]:
    """The archive of a page's one reader: the list, then an article a line."""
    (packed,) = re.findall(r'<script type="text/plain" class="archive">(.*?)</script>', page)
    return [json.loads(line) for line in zlib.decompress(base64.b64decode(packed)).decode().split("\n")]


def many(sample: ReportData, count: int, text: str = "") -> ReportData:
    item = sample.traces[0]
    named = [
        replace(item, trace=replace(item.trace, problem_id=f"p{n}", reasoning="x", response=text)) for n in range(count)
    ]
    return ReportData(title="many", traces=named)


def test_of_a_long_list_some_are_shown_and_all_are_in_the_archive(sample: ReportData) -> None:
    page = render(many(sample, 2 * MOST_ITEMS + 1))
    outline = Outline(page)
    assert outline.tags["article"] == MOST_ITEMS
    assert f"{MOST_ITEMS} shown of {2 * MOST_ITEMS + 1}, spread over all" in "".join(outline.text)
    listed, *articles = unpacked(page)
    names = [f"p{n}" for n in range(2 * MOST_ITEMS + 1)]
    assert [article[2] for article in articles] == names and len(listed) == len(names)
    shown = [int(name.removeprefix("traces-")) for name in outline.ids if re.fullmatch(r"traces-\d+", name)]
    assert shown == [2 * MOST_ITEMS * n // MOST_ITEMS + 1 for n in range(MOST_ITEMS)]
    assert "archive" not in re.findall(r'class="(\w+)"', render(many(sample, MOST_ITEMS)))


def test_an_archive_has_as_many_as_it_has_room_for(sample: ReportData) -> None:
    noise = random.Random(0)
    texts = ["".join(noise.choices("abcdefghijklmnop", k=15_000)) for _ in range(400)]  # half a byte each, at best
    data = many(sample, 400)
    data = replace(
        data,
        traces=[replace(i, trace=replace(i.trace, response=t)) for i, t in zip(data.traces, texts, strict=True)],
    )
    page = render(data)
    listed, *articles = unpacked(page)
    assert MOST_ITEMS < len(listed) == len(articles) < 400
    assert len(page) - len(render(ReportData(title="many"))) < MOST_ARCHIVED + 20_000 * MOST_ITEMS
    assert int(articles[-1][2][1:]) > 380  # spread over all


def test_unknown_intervals_are_dashes_and_not_nan(degenerate: ReportData) -> None:
    outline = Outline(render(degenerate))
    text = " ".join(outline.text)
    assert "cannot tell" in text and "–" in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_whisker_places_zero_in_the_middle() -> None:
    assert whisker(Interval(-0.2, 0.0, 0.2), 0.2) == (50, 4, 50, 96)
    assert whisker(Interval(float("nan"), 0.5, float("nan")), 0.5) is None


CVD = {  # Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}


def palette(scheme: str) -> dict[str, tuple[float, ...]]:
    """The page's colours of a scheme, as linear RGB."""
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in CSS.split("prefers-color-scheme: dark", 1)
    )
    chosen = light if scheme == "light" else dark
    names = ("blue", "red", "green", "purple", "orange")
    return {name: tuple(_linear(int(chosen[name][i : i + 2], 16) / 255) for i in (1, 3, 5)) for name in names}


def _linear(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def _lab(rgb: tuple[float, ...]) -> tuple[float, float, float]:
    """CIELAB under D65."""
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    linear = [sum(a * b for a, b in zip(row, rgb, strict=True)) for row in to_xyz]
    shares = [value / white for value, white in zip(linear, (0.9505, 1.0, 1.089), strict=True)]
    x, y, z = (share ** (1 / 3) if share > 0.008856 else 7.787 * share + 4 / 29 for share in shares)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eyes", CVD)
def test_colours_are_told_apart_by_colour_blind_eyes(scheme: str, eyes: str) -> None:
    def seen(rgb: tuple[float, ...]) -> tuple[float, float, float]:
        rows = (sum(a * b for a, b in zip(row, rgb, strict=True)) for row in CVD[eyes])
        return _lab(tuple(min(max(share, 0.0), 1.0) for share in rows))

    labs = {name: seen(rgb) for name, rgb in palette(scheme).items()}
    near = {pair: math.dist(labs[pair[0]], labs[pair[1]]) for pair in combinations(labs, 2)}
    assert min(near.values()) > 10, near  # about five times what is just told apart side by side
