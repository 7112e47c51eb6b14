"""The figures of the finding pages, docs/figures/*.svg, from the tables that come with titer: `make figures`.

Every mark is a mean over seeds, every bar its 95 % interval. Series differ in shape as well as in colour
(Okabe and Ito's palette), and the page they stand on may be dark: each figure has a light ground of its own.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from titer.reproduce import stored
from titer.reproduce.tables import TABLES

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
BLUE, ORANGE, GREEN, PINK, INK, MUTED = "#0072b2", "#d55e00", "#007a5a", "#a8508a", "#22262b", "#5b626b"
LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (PINK, "^"))
STYLE = {
    "font.size": 9,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "titer",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#dfe3e8",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.facecolor": "#ffffff",
    "axes.facecolor": "#ffffff",
}
Arms = Mapping[str, Mapping[str, Mapping[str, Any]]]


def branching(table: Mapping[str, Any]) -> Figure:
    """A: training loss beside accuracy, by what was trained on."""
    names = {
        "base": "base, not trained",
        "convergent": "convergent teacher",
        "divergent": "divergent teacher",
        "divergent-token-matched": "divergent, as many tokens",
        "divergent-filtered-0.9": "divergent, least branching 90 %",
        "divergent-random-0.9": "divergent, random 90 %",
        "divergent-filtered-0.5": "divergent, least branching 50 %",
        "divergent-random-0.5": "divergent, random 50 %",
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.5), sharey=True)
    trained = [name for name in names if name != "base"]
    _dots(left, list(names), {"training loss": [_of(table, arm, "training_loss") for arm in trained]}, skip=1)
    series = {
        "in domain": [_of(table, arm, "accuracy_in_domain") for arm in names],
        "out of domain": [_of(table, arm, "accuracy_out_of_domain") for arm in names],
    }
    _dots(right, list(names), series)
    left.set_yticks(range(len(names)), list(names.values()))
    left.invert_yaxis()
    left.set(title="Training loss, nats", xlim=(0, None))
    right.set(title="Accuracy on held-out problems", xlim=(0, None))
    _legend_below(right)
    return figure


def recovery(table: Mapping[str, Any]) -> Figure:
    """B: each axis over the updates, against the base."""
    arms = {"verified": "verified traces", "without-thinking": "without thinking", "rehearsal": "a tenth of rehearsal"}
    axes = {"in_domain": "In domain", "out_of_domain": "Out of domain", "general": "General", "safety": "Safety"}
    steps = (10, 20, 40, 80, 160)
    figure, places = plt.subplots(2, 2, figsize=(8.2, 4.6), sharex=True, sharey=True)
    for place, (axis, title) in zip(places.flat, axes.items(), strict=True):
        for i, (arm, label) in enumerate(arms.items()):
            found = [[0.0, 0.0, 0.0], *([100 * x for x in _of(table, arm, f"{axis}_at_{step}")] for step in steps)]
            _line(place, [x + (i - 1) * 0.09 for x in range(len(found))], found, LOOKS[i], label)
        place.axhline(0, color=MUTED, linewidth=1)
        place.set(title=title)
        place.set_xticks(range(len(steps) + 1), ["base", *map(str, steps)])
    for place in places[1]:
        place.set_xlabel("updates")
    for place in places[:, 0]:
        place.set_ylabel("points against the base")
    places[1, 1].legend(loc="lower right", fontsize=8)
    return figure


def repetition(table: Mapping[str, Any]) -> Figure:
    """C: one budget, from new traces to few repeated ones."""
    cells = ("1x1024", "2x512", "4x256", "8x128", "16x64", "32x32")
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.6, 3.1))
    for look, measure in zip(LOOKS, ("sampled", "greedy"), strict=False):
        found = [_of(table, f"short-{cell}", f"{measure}_accuracy") for cell in cells]
        _line(left, [x + (-0.06 if measure == "sampled" else 0.06) for x in range(len(cells))], found, look, measure)
    _line(middle, range(6), [_of(table, f"short-{cell}", "token_accuracy") for cell in cells], LOOKS[2], "")
    _line(right, range(6), [_of(table, f"short-{cell}", "held_out_loss") for cell in cells], LOOKS[3], "")
    left.set(title="Accuracy", ylim=(0, None))
    middle.set(title="Token accuracy, trained traces")
    right.set(title="Loss on held-out traces, nats", ylim=(0, None))
    left.legend(loc="lower left", fontsize=8)
    for place in (left, middle, right):
        place.set_xticks(range(6), [cell.replace("x", "×") for cell in cells], rotation=45)
    middle.set_xlabel("epochs × traces, 128 updates of 8")
    return figure


def stages(table: Mapping[str, Any]) -> Figure:
    """D: what the arms of one budget reach, and what the bridge makes of hard traces."""
    names = {
        "base": "base",
        "sft": "SFT",
        "rl": "RL",
        "sft-rl": "SFT, then RL, on everything",
        "routed": "routed by bands",
        "routed-bridge": "routed, with the bridge",
        "routed-bridge-critique": "with bridge and critique",
        "opposite": "the opposite allocation",
    }
    hard = {"hard-raw": "raw", "hard-pruned": "pruned", "hard-scaffold": "scaffold", "hard-best": "bridge's choice"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.4), width_ratios=(3, 2))
    series = {
        "pass@1": [_of(table, arm, "in_domain_accuracy") for arm in names],
        "pass@8": [_of(table, arm, "in_domain_pass_8") for arm in names],
    }
    _dots(left, list(names), series)
    left.set_yticks(range(len(names)), list(names.values()))
    left.set(title="In domain, 300,000 tokens each", xlim=(0, 0.8))
    _legend_below(left)
    _dots(right, list(hard), {"solve rate": [_of(table, arm, "hard_accuracy") for arm in hard]})
    right.set_yticks(range(len(hard)), list(hard.values()))
    right.set(title="Hard problems, after SFT on", xlim=(-0.02, 1))
    right.margins(y=0.15)
    for place in (left, right):
        place.invert_yaxis()
    return figure


def continuum(table: Mapping[str, Any]) -> Figure:
    """E: −log p, −p and what `auto` takes, from weak to strong and from clean to noisy traces."""
    students, noise = ("strong", "middling", "weak"), (0, 10, 30)
    cells = [(student, wrong) for student in students for wrong in noise]
    figure, places = plt.subplots(2, 1, figsize=(8.2, 4.8), sharex=True, sharey=True)
    for place, measure in zip(places, ("sampled", "greedy"), strict=True):
        for i, (arm, label) in enumerate({"nll": "−log p", "p": "−p", "auto": "auto"}.items()):
            found = [_of(table, f"{student}-{wrong}-{arm}", f"{measure}_accuracy") for student, wrong in cells]
            _points(place, [x + (i - 1) * 0.2 for x in range(len(cells))], found, LOOKS[i], label)
        place.set(title=f"Accuracy, {'sampled at temperature 1' if measure == 'sampled' else 'greedy'}")
        for border in (2.5, 5.5):
            place.axvline(border, color=MUTED, linewidth=0.8)
        place.grid(axis="x", visible=False)
    ticks = [f"{wrong} % wrong\n" + (f"{student} student" if wrong == noise[1] else "") for student, wrong in cells]
    places[1].set_xticks(range(len(cells)), ticks)
    places[0].legend(loc="upper right", ncols=3)
    return figure


FIGURES: Mapping[str, Callable[[Mapping[str, Any]], Figure]] = {
    "branching": branching,
    "recovery": recovery,
    "repetition": repetition,
    "stages": stages,
    "continuum": continuum,
}


def drawn(name: str) -> str:
    """The figure as SVG text that names the table it is made of."""
    with mpl.rc_context(STYLE):
        figure = FIGURES[name](stored(name))
        held = io.StringIO()
        figure.savefig(held, format="svg", metadata={"Date": None, "Creator": None, "Description": source(name)})
        plt.close(figure)
    return _small(held.getvalue())


def source(name: str) -> str:
    """The table and its hash, by which a test sees that a figure is of today's table."""
    return f"{name}.json sha256 {hashlib.sha256((TABLES / f'{name}.json').read_bytes()).hexdigest()}"


def _small(text: str) -> str:
    """Two decimals, one short list of fonts, no white space that only lays out the file."""
    text = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: 'DejaVu Sans', Verdana, sans-serif", text)
    text = re.sub(r"\n(?=[LCQMz\"])", " ", text)
    return re.sub(r"^[ \t]+|[ \t]+$", "", text, flags=re.MULTILINE)


def _of(table: Mapping[str, Any], arm: str, measure: str) -> list[float]:
    """[low, mid, high] of a measure over the seeds of an arm."""
    arms: Arms = table["arms"]
    return [float(end) for end in arms[arm][measure]["mean"]]


def _dots(place: Axes, rows: Sequence[str], series: Mapping[str, Sequence[Sequence[float]]], skip: int = 0) -> None:
    """A mark with its interval on each row, series side by side; `skip` rows stay empty."""
    for i, (label, found) in enumerate(series.items()):
        offset = (i - (len(series) - 1) / 2) * 0.28
        heights = [row + offset for row in range(skip, len(rows))]
        colour, marker = LOOKS[i]
        mids = [mid for _, mid, _ in found]
        place.errorbar(mids, heights, xerr=_ends(found), fmt=marker, color=colour, markersize=5, capsize=2, label=label)


def _legend_below(place: Axes) -> None:
    place.legend(loc="upper right", bbox_to_anchor=(1, -0.08), ncols=2, fontsize=8)


def _points(place: Axes, at: Sequence[float], found: Sequence[Sequence[float]], look: Any, label: str) -> None:
    """Marks with upright intervals."""
    colour, marker = look
    mids = [mid for _, mid, _ in found]
    place.errorbar(at, mids, yerr=_ends(found), fmt=marker, color=colour, markersize=4.5, label=label)


def _line(place: Axes, at: Sequence[float], found: Sequence[Sequence[float]], look: Any, label: str) -> None:
    """The same, with a line through them."""
    place.plot(at, [mid for _, mid, _ in found], color=look[0], linewidth=1)
    _points(place, at, found, look, label)


def _ends(found: Sequence[Sequence[float]]) -> list[list[float]]:
    """How far the ends of intervals lie from their middles."""
    return [[mid - low for low, mid, _ in found], [high - mid for _, mid, high in found]]


def main() -> None:
    """Draws those named on the command line, by default all."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FIGURES:
        (FOLDER / f"{name}.svg").write_text(drawn(name), encoding="utf-8")


if __name__ == "__main__":
    main()
