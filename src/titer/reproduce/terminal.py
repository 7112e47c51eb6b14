"""A table of a reproduction in the terminal.

show(stored("branching"), Console())
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text


def show(table: Mapping[str, Any], console: Console) -> None:
    """The maps, the claims, a row each, and the rule behind the verdicts. Of all findings: the main claims."""
    for one in table.get("maps", ()):
        console.print(f"{one['title']} ({one['row']} down, {one['column']} across)", markup=False)
        console.print(heat_map(one), "")
    claims = table["claims"]
    if "verdicts" in table:
        main = [
            {**one, "claim": f"{one['finding']}: {one['claim']}\n{one['command']}"} for one in claims if one["main"]
        ]
        console.print(_claims("what each paper is known for", main))
        console.print(
            "All claims, counted; a command prints each (with --show those of the table that comes with titer):"
        )
    else:
        console.print(_claims(f"reproduce {table['name']}", claims))
    for letter, found in table.get("verdicts", {}).items():
        said = ", ".join(f"{count} {word}" for word, count in sorted(found.items()))
        command = next(claim["command"] for claim in claims if claim["finding"] == letter)
        console.print(f"{letter}: {said} ({command})", markup=False)
    console.print(f"{table['rule']}.\nIntervals: {table['intervals']}.", markup=False)


def _claims(title: str, claims: Sequence[Mapping[str, Any]]) -> Table:
    shown = Table(title=title, show_lines=True)
    for column in ("claim", "paper", "lab", "interval", "seeds", "verdict"):
        shown.add_column(column, overflow="fold")
    for claim in claims:
        cells = {**claim, "interval": _ends(claim["interval"]), "seeds": str(claim["seeds"])}
        shown.add_row(*(escape(cells[str(column.header)]) for column in shown.columns))
    return shown


def heat_map(one: Mapping[str, Any]) -> Table:
    """A map as numbers on grey, the darker the larger, so that it reads without colour too."""
    shown = Table(box=None, padding=(0, 1))
    shown.add_column(one["row"], justify="right")
    for name in one["columns"]:
        shown.add_column(f"{name:,}", justify="right")
    found = [mean for row in one["means"] for mean in row if math.isfinite(mean)]
    least, most = min(found, default=0.0), max(found, default=0.0)
    for name, row in zip(one["rows"], one["means"], strict=True):
        shown.add_row(f"{name:,}", *(_cell(mean, least, most) for mean in row))
    return shown


def _cell(mean: float, least: float, most: float) -> Text:
    if not math.isfinite(mean):
        return Text("–")
    return Text(f"{mean:.3f}", _grey((mean - least) / ((most - least) or 1.0)))


def _grey(share: float) -> str:
    """From black on white to white on black."""
    level = round(255 * (1 - share))
    return f"{'#000000' if level > 127 else '#ffffff'} on #{level:02x}{level:02x}{level:02x}"


def _ends(interval: Sequence[float | None]) -> str:
    low, _, high = interval
    return "unknown" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"
