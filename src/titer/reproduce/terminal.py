"""A table of a reproduction in the terminal.

show(stored("branching"), Console())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show(table: Mapping[str, Any], console: Console) -> None:
    """The claims, a row each, and the rule behind the verdicts."""
    shown = Table(title=f"reproduce {table['name']}", show_lines=True)
    for column in ("claim", "paper", "lab", "interval", "seeds", "verdict"):
        shown.add_column(column, overflow="fold")
    for claim in table["claims"]:
        cells = {**claim, "interval": _ends(claim["interval"]), "seeds": str(claim["seeds"])}
        shown.add_row(*(escape(cells[str(column.header)]) for column in shown.columns))
    console.print(shown)
    console.print(f"{table['rule']}.\nIntervals: {table['intervals']}.", markup=False)


def _ends(interval: Sequence[float | None]) -> str:
    low, _, high = interval
    return "unknown" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"
