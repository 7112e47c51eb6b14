"""Where the measured problems go: a stage of its own, so that another allocation samples nothing again.

route_measured(going)            # route/ledger.parquet, and the decision
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from titer.errors import reading
from titer.pipeline.decisions import write_decisions
from titer.pipeline.going import Going, named
from titer.pipeline.routes.rates import read_rates
from titer.records import Decision
from titer.stages import Entry, gaps, route, shares
from titer.store import STAGE_AGAIN, read_table, write_table


def route_measured(going: Going, number: int = 1) -> list[Entry]:
    """Route the problems that a round has measured; the ledger."""
    measured = named("measure", number)
    going.folder.stage(
        named("route", number),
        {"measured": going.folder.key(measured), "allocation": going.recipe.route.allocation},
        lambda work: _write(going, going.folder.path / measured, number, work),
        said=going.said,
    )
    return ledger_of(going, number)


def ledger_of(going: Going, number: int) -> list[Entry]:
    """Where each problem went in a round."""
    file = going.folder.path / named("route", number) / "ledger.parquet"
    rows = read_table(file)
    with reading(file, remedy=STAGE_AGAIN):
        return [Entry(**{**row, "places": tuple(row["places"])}) for row in rows]


def _write(going: Going, measured: Path, number: int, work: Path) -> None:
    rates = read_rates(measured / "solve_rates.parquet", remedy=STAGE_AGAIN).rates
    ledger = list(route(rates, going.recipe.route.allocation, round=number).values())
    write_table(work / "ledger.parquet", [entry.row for entry in ledger])
    write_decisions(work, [_decision(going, ledger, number)])


def _decision(going: Going, ledger: Sequence[Entry], number: int) -> Decision:
    allocation = going.recipe.route.allocation
    evidence: dict[str, int | str] = {"problems measured": len(ledger)}
    if unknown := len(going.inputs.problems) - len(ledger):
        evidence["problems not measured, or not gradable"] = unknown
    if not going.recipe.stages.rounds:
        evidence["done with it"] = "nothing: stages.rounds is 0, and SFT takes all kept traces"
    evidence |= {f"beware {i}": gap for i, gap in enumerate(gaps(ledger), 1)}
    return Decision(
        stage=named("route", number),
        question="Which problems go where?",
        choice=", ".join(f"{count} {place}" for place, count in shares(ledger).items()),
        rule=f"allocation {allocation}, by the band of the solve rate",
        evidence=evidence,
        setting="route.allocation",
    )
