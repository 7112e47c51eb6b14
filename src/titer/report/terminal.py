"""The report's tables for a terminal.

show(data, Console())
show_steps("problem 7", steps, Console())
show_comparison(comparison, Console())
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from titer.errors import harmless
from titer.records.results import Difference, Judgement, Measure, SuiteSummary, Verdict
from titer.records.schema import Decision
from titer.report import numbers
from titer.report.data import FeatureRow, ReportData, TeacherComparison, TwoRuns
from titer.report.names import row_name, title
from titer.report.numbers import UNKNOWN
from titer.report.reader import LOOKS, Readable, Run, bare, letter, runs
from titer.report.rows import ChangeRow, ScoreRow, change_rows, score_rows

_STYLES: Final = {"better": "bold cyan", "worse": "bold yellow"}
_TAG: Final = 10  # columns for a behaviour's name
FIRST_STEPS: Final = 400  # of a trace that are shown
LAST_STEPS: Final = 100
LONGEST_STEP: Final = 2_000  # characters of a step that are shown
MOST_LINES: Final = 100  # of a step
LONGEST_TITLE: Final = 500


def show(data: ReportData, console: Console) -> None:
    """Print what came out, what was decided and the scores; parts without content are left out."""
    for table in _tables(data):
        console.print(table)


def _tables(data: ReportData) -> Iterator[Table | Text | Group]:
    if data.judgement:
        yield judgement_text(data.judgement)
        yield verdict_table(data.judgement.axes)
    if data.decisions:
        yield decision_list(data.decisions)
    if data.suites:
        yield score_table(data.suites, data.differences)


def judgement_text(judgement: Judgement) -> Text:
    """What was paid for what was gained, first; then whether it is time to judge."""
    lines = [f"At a cost: {judgement.cost}. Against that: {'; '.join(judgement.remedies)}."] if judgement.cost else []
    lines.append(f"{judgement.call.capitalize()}: {judgement.reason}.")
    lines += [f"Not before update {judgement.until:,}."] if judgement.until else []
    if judgement.take is not None:
        lines.append(f"Take the checkpoint of update {judgement.take:,}." if judgement.take else "Take the base.")
    return _text(" ".join(lines))


def verdict_table(verdicts: Sequence[Verdict]) -> Group:
    """An axis: its label and change against the base with the interval; below them what these are, and the rules, over
    the whole width."""
    table = _table("What came out", ["axis", "verdict", "change in accuracy, points"])
    rows: list[Table | Text | Padding] = []
    for v in verdicts:
        mark = numbers.LABEL_MARKS[v.label]
        table.add_row(_text(title(v.axis)), f"{mark} {v.label}", _change(numbers.points(v.accuracy)))
        parts = (f"{part} {numbers.points(change)}" for part, change in v.parts.items())
        rule = "; ".join([v.rule, *parts, f"length {v.length}"])
        rows.append(_below(f"{title(v.axis)}: {rule}"))
    return Group(table, Text(numbers.EACH, style="dim"), *rows)


def decision_list(decisions: Sequence[Decision]) -> Group:
    """A decision: question and choice; below them its rule, evidence and the setting that overrides it."""
    rows: list[Text | Padding] = [Text("What was decided", style="bold italic")]
    for d in decisions:
        rows.append(Text.assemble(_text(f"{d.stage}: {d.question} "), (harmless(d.choice), "bold")))
        evidence = f"{d.rule} ({numbers.plain(d.evidence)})" if d.evidence else d.rule
        rows.append(_below(f"{evidence}; override with {d.setting}" if d.setting else evidence))
    return Group(*rows)


def _below(text: str) -> Padding:
    return Padding(Text(harmless(text), style="dim"), (0, 0, 0, 2))


def score_table(suites: Sequence[SuiteSummary], differences: Sequence[Difference]) -> Group:
    """A line a suite and model with 95 % intervals, and in a second table what the accuracy is made of."""
    accuracy = _table("Scores", ["suite", "model", "accuracy", "difference, points"])
    made_of = _table("Beside the scores", ["suite", "model", "problems", "pass@k", "ends", "parsed", "tokens"])
    for row in score_rows(suites, differences):
        name = [_text(title(row.summary.suite) if row.first else ""), _text(row.summary.model)]
        accuracy.add_row(*name, *_accuracy_cells(row))
        made_of.add_row(*name, *_made_of_cells(row.summary))
    return Group(accuracy, made_of)


def _accuracy_cells(row: ScoreRow) -> list[Text]:
    s, d = row.summary, row.difference
    style = _STYLES.get(d.better, "") if d else ""
    difference = Text(f"{numbers.CALL_MARKS[d.better]} {numbers.change(d)}", style=style) if d else Text("")
    return [_text(f"{numbers.percent(s.accuracy.mid)} ({numbers.percent_range(s.accuracy)})"), difference]


def _made_of_cells(s: SuiteSummary) -> list[Text]:
    return [
        _text(f"{s.problems:,} × {numbers.number(s.samples_per_problem)}"),
        _text(numbers.passes(s)),
        *(_change(cell) for cell in (numbers.percent(s.terminated.mid), numbers.percent(s.parsed.mid))),
        _change(numbers.mean_tokens(s.tokens.mid)),
    ]


def show_steps(title: str, steps: Sequence[Readable], console: Console) -> None:
    """Print a trace step by step: what each does in words and colour, abandoned lines dimmed and fenced in.

    Of a long trace the first and the last steps are printed, of a long step the beginning.
    """
    console.print(_text(title[:LONGEST_TITLE]), style="bold")
    long = len(steps) > FIRST_STEPS + LAST_STEPS
    left_out = range(FIRST_STEPS, len(steps) - LAST_STEPS) if long else range(0)
    for run in runs(steps):
        for place, step in enumerate(run.steps, run.first - 1):
            if place in left_out:
                if place == left_out.start:
                    console.print(f"{'':{_TAG}}… {len(left_out):,} steps left out; --json gives all", style="dim")
                continue
            if run.dead and place in (run.first - 1, left_out.stop):
                console.print(Text(f"{'':{_TAG}}┌╌ {run.summary}", style="dim"))
            console.print(_step(step, run, console))


def _step(step: Readable, run: Run, console: Console) -> Text:
    """A step's lines, each behind a bar; the first one also behind what the step does."""
    style = LOOKS[step.behaviour].style if step.behaviour in LOOKS else ""
    whole = Text("\n".join(harmless(line) for line in _beginning(step.text).split("\n")))
    lines = whole.wrap(console, max(console.width - _TAG - 2, 20), overflow="fold")
    bar = "╎ " if run.dead else "│ "
    tags = [harmless(step.behaviour)[: _TAG - 1], *[""] * (len(lines) - 1)]
    shown = [Text.assemble(f"{tag:{_TAG}}", bar, line) for tag, line in zip(tags, lines, strict=True)]
    joined = Text("\n").join(shown)
    joined.stylize(f"dim {style}" if run.dead else style)
    return joined


def _beginning(text: str) -> str:
    """What is shown of a step, with … where it is not all."""
    first = text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1  # blank lines go here: `bare` is slow with millions
    lines = bare(text[first : first + LONGEST_STEP]).split("\n")
    whole = len(lines) <= MOST_LINES and not text[first + LONGEST_STEP :].strip()
    return "\n".join(lines[:MOST_LINES]) + "…" * (not whole)


def show_comparison(comparison: TeacherComparison, console: Console) -> None:
    """Print two teachers' features with their differences, and what follows what in each."""
    console.print(_text(f"A  {comparison.a}"), _text(f"B  {comparison.b}"), sep="\n", style="bold")
    right = [numbers.percent(share) for share in (comparison.correct_a, comparison.correct_b)]
    facts = [
        f"{comparison.problems:,} of {comparison.shared:,} shared problems compared.",
        comparison.note,
        f"Of their graded traces {right[0]} (A) and {right[1]} (B) are right." if set(right) != {UNKNOWN} else "",
    ]
    console.print(_text(" ".join(filter(None, facts))), style="dim")
    console.print(feature_table(comparison.rows))
    console.print(
        _text("Shares differ by percentage points. ◀ A has more, ▶ B has more: the 95 % interval excludes zero."),
        style="dim",
    )
    if comparison.transitions_a and comparison.transitions_b:
        matrices = Table.grid(padding=(0, 3, 0, 0))
        sides = {"A": comparison.transitions_a, "B": comparison.transitions_b}
        matrices.add_row(*(transition_table(f"{name}: % followed by", rows) for name, rows in sides.items()))
        console.print(Group(Text(), matrices))


def show_two_runs(found: TwoRuns, console: Console) -> None:
    """Print what differs between two runs, and what came of it: B − A."""
    console.print(_text(f"A  {found.a}"), _text(f"B  {found.b}"), sep="\n", style="bold")
    for note in found.notes:
        console.print(_text(f"! {note}."), style="yellow")
    for heading, columns, rows, none in _two_runs(found):
        if not rows:
            console.print(_text(f"{heading}: {none}"))
            continue
        console.print(_text(heading), style="bold italic")  # as a title it would be as narrow as its table
        table = _table("", columns)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(_text("▲ better, ▼ worse, ↦ longer, ↤ shorter by the 95 % interval; ○ cannot tell"), style="dim")


def _two_runs(found: TwoRuns) -> Iterator[tuple[str, list[str], list[list[Text]], str]]:
    """Each table: heading, columns, rows, and what is said where it has none."""
    recipe = [[_text(one.key), _text(numbers.plain(one.a)), _text(numbers.plain(one.b))] for one in found.recipe]
    yield "What differs in the recipes", ["key", "A", "B"], recipe, "nothing"
    decisions = [
        [_text(f"{one.stage}: {one.question}"), *(_text(side.choice if side else UNKNOWN) for side in (one.a, one.b))]
        for one in found.decisions
    ]
    yield "What was decided otherwise", ["question", "A", "B"], decisions, "nothing"
    rows = change_rows(found)
    columns = ["axis, suite", "problems", "A", "B", "B − A, points"]
    yield "Accuracy", columns, [_change_cells(row, "accuracy") for row in rows], "not compared"
    paths = [_change_cells(row, measure) for row in rows if row.level == "axis" for measure in _LENGTHS]
    yield "Length and termination", ["axis", "", "A", "B", "B − A"], paths, "not compared"
    moved = [
        [_text(title(one.axis)), *(_text(f"{count:,}") for count in (one.problems, len(one.gained), len(one.lost)))]
        for one in found.moves
    ]
    yield "Problems gained and lost", ["axis", "problems", "gained", "lost"], moved, "not compared"


_LENGTHS: Final[Mapping[Measure, str]] = {"terminated": "ends, points", "tokens": "tokens"}


def _change_cells(row: ChangeRow, measure: Measure) -> list[Text]:
    """A row of two runs' changes in one measure; the changes of an axis' halves stand below its own."""
    d = row.of[measure]
    written = numbers.mean_tokens if measure == "tokens" else numbers.percent
    style = _STYLES.get(d.better, "")
    changes = [Text(f"{numbers.CALL_MARKS[d.better]} {numbers.change(d)}", style=style, no_wrap=True)]
    if measure == "accuracy":
        changes += [_text(f"{part} {numbers.points(change)}") for part, change in row.parts.items()]
    second = f"{d.problems:,}" if measure == "accuracy" else _LENGTHS[measure]
    shown = [row_name(d), second, written(d.base_value), written(d.other_value)]
    return [*(_text(cell) for cell in shown), Text("\n").join(changes)]


def feature_table(rows: Sequence[FeatureRow]) -> Table:
    """One row per feature: both means, and the paired difference with its 95 % interval."""
    table = _table("Features", ["feature", "A", "B", "", "A − B"])
    for column in table.columns[1:3]:
        column.justify = "right"
    for row in rows:
        clear = row.more != "cannot tell"
        change = Text(numbers.feature_change(row), style="bold" if clear else "dim", no_wrap=True)
        means = (_text(numbers.feature(value, row)) for value in (row.a, row.b))
        table.add_row(_text(title(row.name)), *means, numbers.MORE_MARKS[row.more], change)
    return table


def transition_table(heading: str, shares: Mapping[str, Mapping[str, float]]) -> Table:
    """How often each behaviour (a row) is followed by each (a column), in per cent; every row's largest is bold."""
    table = _table(heading, ["", *(letter(name) for name in shares)])
    for column in table.columns:
        column.justify, column.no_wrap = ("right", True) if column.header else ("left", True)
        column.min_width = 2
    table.padding = (0, 1, 0, 0)
    for name, row in shares.items():
        cells = [row.get(to, 0.0) for to in shares]
        seen = any(cells)
        styles = ["bold" if share == max(cells) > 0 else "" for share in cells]
        table.add_row(
            _text(name),
            *(Text(f"{100 * c:.0f}" if seen else UNKNOWN, style=s) for c, s in zip(cells, styles, strict=True)),
        )
    return table


def _table(heading: str, columns: Sequence[str]) -> Table:
    table = Table(title=heading or None, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def _change(text: str) -> Text:
    return Text(text, no_wrap=True)


def _text(text: str) -> Text:
    """`text` as it is: no markup, and no control characters that a terminal would obey."""
    return Text(harmless(text))
