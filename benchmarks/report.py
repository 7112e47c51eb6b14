"""The report's page: its size, the time to write it, and the time to its first paint, by how many traces it lists.

python benchmarks/report.py                      # 100, 1,000 and 10,000 traces, as long as the lab's
python benchmarks/report.py --run runs/quickstart
python benchmarks/report.py --json

Needs Debian's `chromium`, or another Chromium named by TITER_CHROMIUM. First paint is what the browser itself says
(first-contentful-paint); `listed_ms` is when the last trace stands in the list.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "report"))

from report_sample import sample_report
from test_browser import Browser

from titer.pipeline.reporting.reading import traces_to_read
from titer.records import Trace
from titer.report import ReportData, render

PATIENCE = 60.0  # seconds
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
LISTED = "document.querySelectorAll('#traces .list a').length"


class Page(NamedTuple):
    """One page, opened several times: medians, and the slowest paint."""

    traces: int
    megabytes: float
    render_s: float
    first_paint_ms: float
    slowest_paint_ms: float
    listed: int
    listed_ms: float


def made(count: int) -> list[Trace]:
    """Traces of about 200 characters, no two alike, every third one branchy."""
    source = random.Random(0)
    return [_trace(source, number) for number in range(count)]


def _trace(source: random.Random, number: int) -> Trace:
    a, b, c = (source.randint(2, 99) for _ in range(3))
    wander = f"Perhaps {a} + {b} = {a + b}? No, that does not work.\n\nAlternatively {b} * {c} = {b * c}.\n\n"
    work = f"First {a} * {b} = {a * b}.\n\nThen {a * b} - {c} = {a * b - c}.\n\nSo the answer uses {a}, {b} and {c}."
    return Trace(
        id=f"t{number}",
        problem_id=f"countdown3:{source.getrandbits(48):012x}",
        prompt=f"Use {a}, {b} and {c} to make {a * b - c}.",
        reasoning=(wander if number % 3 == 0 else "") + work,
        response=f"Answer: {a} * {b} - {c}",
        teacher="divergent" if number % 2 else "convergent",
        correct=True,
    )


def page_of(count: int, base: ReportData, folder: Path) -> tuple[Path, float]:
    """A page that has all else that a run's has, with so many traces, and the seconds that it took."""
    traces = made(count)
    start = time.perf_counter()
    data = ReportData(**{**_fields(base), "traces": traces_to_read(traces, {}), "trace_pairs": ()})
    path = folder / f"{count}.html"
    path.write_text(render(data), encoding="utf-8")
    return path, time.perf_counter() - start


def _fields(data: ReportData) -> dict[str, Any]:
    return {name: getattr(data, name) for name in data.__dataclass_fields__}


def measure(path: Path, count: int, seconds: float, browser: Browser, rounds: int) -> Page:
    """Open the page `rounds` times."""
    paints, lists, listed = [], [], 0
    for _ in range(rounds):
        browser.open(path)
        paints.append(float(str(_until(browser, PAINT, 0.0))))
        listed = int(str(_until(browser, LISTED, 0.0)))
        lists.append(float(str(browser.run("performance.now()"))))
    size = path.stat().st_size / 1e6
    return Page(count, size, seconds, statistics.median(paints), max(paints), listed, statistics.median(lists))


def _until(browser: Browser, script: str, more_than: float) -> object:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = browser.run(script)
        if isinstance(value, int | float) and value > more_than:
            return value
        time.sleep(0.005)
    raise TimeoutError(script)


def main() -> None:
    """Write the pages, open them, say how large and how fast they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", type=Path, help="open the report.html of a run instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object a page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        browser = Browser(folder)
        try:
            if options.run:
                pages = [(options.run / "report.html", 100, 0.0)]
            else:
                base = sample_report()
                pages = [(path, count, s) for count in options.traces for path, s in [page_of(count, base, folder)]]
            for path, count, seconds in pages:
                say(measure(path.resolve(), count, seconds, browser, options.rounds), options.json)
        finally:
            browser.close()


def say(page: Page, as_json: bool) -> None:
    """One line."""
    if as_json:
        return print(json.dumps(page._asdict()))
    print(f"{page.listed:6,} listed: {page.megabytes:.2f} MB, written in {page.render_s:.1f} s, first paint", end=" ")
    print(f"{page.first_paint_ms:.0f} ms (slowest {page.slowest_paint_ms:.0f}), listed {page.listed_ms:.0f} ms")


if __name__ == "__main__":
    main()
