"""The report in a real browser: it draws every chart, says nothing on the console, and its controls work.

Needs Debian's `chromium`, or another Chromium named by TITER_CHROMIUM.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from titer.report import ReportData, TwoRuns, render, render_two_runs

PATIENCE = 60  # seconds until a silent browser counts as stuck

FLAGS = (
    "--headless",
    "--hide-scrollbars",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


def chromium() -> str:
    found = os.environ.get("TITER_CHROMIUM") or shutil.which("chromium")
    if found:
        return found
    message = "no Chromium: install Debian's package `chromium`, or name one in TITER_CHROMIUM"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class Browser:
    """One tab, driven over DevTools' pipe: messages are JSON, each ended by a NUL, on descriptors 3 and 4."""

    def __init__(self, folder: Path) -> None:
        reads, self._send = os.pipe()
        self._receive, writes = os.pipe()
        logs = os.open(folder / "chromium.log", os.O_CREAT | os.O_WRONLY)
        # Parked high first, so that putting them on 3 and 4 cannot overwrite one of them.
        command = [chromium(), *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._pid = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, logs, 2),
                (os.POSIX_SPAWN_DUP2, reads, 103),
                (os.POSIX_SPAWN_DUP2, writes, 104),
                (os.POSIX_SPAWN_DUP2, 103, 3),
                (os.POSIX_SPAWN_DUP2, 104, 4),
            ],
            setpgroup=0,
        )
        for descriptor in (reads, writes, logs):
            os.close(descriptor)
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._send)
        os.close(self._receive)

    def call(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": params, **session}
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._next()
            if reply.get("id") == self._number:
                assert "error" not in reply, reply
                return dict(reply["result"])
            self.events.append(reply)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._receive, 1 << 20) if ready else b""
            assert chunk, "the browser went silent"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def run(self, script: str) -> object:
        reply = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def open(self, page: Path, *, width: int = 1280, scheme: str = "light", fragment: str = "") -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri() + fragment)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())
        self.until("'listed' in document.documentElement.dataset")
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def until(self, script: str) -> None:
        """Wait until a script comes to something true."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < deadline, f"never true: {script}"
            time.sleep(0.01)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def complaints(self) -> list[str]:
        """Console messages, exceptions, broken policies: everything that a clean page does not cause."""
        loud = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in loud]

    def requests(self) -> list[str]:
        sent = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]

    def picture(self, to: Path) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        to.write_bytes(base64.b64decode(shot["data"]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(sample: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(sample), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pairs_page(two_teachers: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "pairs.html"
    path.write_text(render(two_teachers), encoding="utf-8")
    return path


CHARTS = (
    "Object.fromEntries([...document.querySelectorAll('[data-figure]')].map("
    "plot => [plot.dataset.figure, plot.querySelectorAll('.scatterlayer .trace, .barlayer .trace').length]))"
)


def test_every_chart_is_drawn_without_a_word_on_the_console(browser: Browser, page: Path) -> None:
    browser.open(page)
    drawn = browser.run(CHARTS)
    assert drawn == {
        "differences": 3,
        "loss": 2,
        "token_accuracy": 4,
        "lr": 1,
        "p_map": 6,
        "pull_map": 5,  # shades that the sample has
        "pull_kinds": 7,
        "axis_path": 13,
        "score_path": 5,
        "length_path": 5,
        "termination_path": 5,
        "parts": 3,
        "behaviours": 2,
        "lengths": 2,
    }
    assert browser.complaints() == []


def test_nothing_but_the_page_itself_is_loaded(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.requests() == [page.as_uri()]


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_no_width_makes_the_page_scroll_sideways(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)
    assert browser.run("document.documentElement.scrollWidth") == width
    charts = "[...document.querySelectorAll('.js-plotly-plot .main-svg')]"
    assert browser.run(f"{charts}.every(chart => chart.clientWidth > 0 && chart.clientWidth < {width})")


@pytest.mark.parametrize("width", [320, 400])
def test_traces_side_by_side_fit_a_phone_one_above_the_other(browser: Browser, pairs_page: Path, width: int) -> None:
    browser.open(pairs_page, width=width)
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert browser.run("document.documentElement.scrollWidth") == width
    sides = "[...document.querySelectorAll('#trace-pairs-1 .side')].map(side => side.getBoundingClientRect())"
    assert browser.run(f"(([left, right]) => left.bottom <= right.top)({sides})")
    browser.open(pairs_page)
    assert browser.run(f"(([left, right]) => left.right <= right.left)({sides})")


def test_picking_a_problem_shows_both_teachers_and_unfolds(browser: Browser, pairs_page: Path) -> None:
    shown = "[...document.querySelectorAll('#traces article')].filter(a => !a.hidden).map(a => a.id)"
    browser.open(pairs_page)
    assert browser.run(shown) == ["trace-pairs-1"]
    browser.run("document.querySelectorAll('#traces .list a')[2].click()")
    assert browser.run(shown) == ["trace-pairs-3"]
    assert browser.run("[...document.querySelectorAll('#trace-pairs-3 .side h4')].map(h => h.textContent)[0]") == (
        "divergent"
    )
    unfolded = "document.querySelector('#trace-pairs-3 details li').checkVisibility()"
    assert browser.run(unfolded) is False
    browser.run("document.querySelector('#trace-pairs-3 summary').click()")
    assert browser.run(unfolded) is True
    assert browser.complaints() == []


def test_behaviours_differ_without_colour(browser: Browser, pairs_page: Path) -> None:
    looks = (
        "[...document.querySelectorAll('.legend .text')].map(text => { const s = getComputedStyle(text);"
        " return [s.borderLeftStyle, s.borderLeftWidth, s.borderImageSource !== 'none'].join() })"
    )
    browser.open(pairs_page)
    found = browser.run(looks)
    assert isinstance(found, list) and len(set(found)) == len(found) == 6


def test_dark_mode_recolours_page_and_charts(browser: Browser, page: Path) -> None:
    colours = (
        "[getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('[data-figure=loss] .ytick text')).fill]"
    )
    browser.open(page, scheme="light")
    light = browser.run(colours)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    dark = browser.run(colours)
    assert light == ["rgb(255, 255, 255)", "rgb(27, 29, 31)"]
    assert dark == ["rgb(19, 21, 23)", "rgb(231, 231, 228)"]


def test_the_step_axis_can_be_logarithmic_with_room_for_step_zero(browser: Browser, page: Path) -> None:
    ticks = "[...document.querySelectorAll('[data-figure=loss] .xtick')].map(t => t.textContent).slice(0, 5)"
    browser.open(page)
    assert browser.run(ticks) == ["0", "50", "100", "150", "200"]
    browser.run("document.querySelector('[name=training-axis][value=log]').click()")
    assert browser.run(ticks) == ["0", "1", "3", "10", "30"]


@pytest.mark.parametrize("axis", ["linear", "log"])
def test_the_cells_of_a_map_lie_side_by_side(browser: Browser, page: Path, axis: str) -> None:
    cells = (
        "(() => { const boxes = [...document.querySelectorAll('[data-figure=pull_map] .barlayer .point path')]"
        ".map(path => path.getBBox()).filter(box => box.y === 0).sort((a, b) => a.x - b.x);"
        " const gaps = boxes.slice(1).map((box, i) => Math.abs(box.x - boxes[i].x - boxes[i].width));"
        " return [boxes.length, Math.max(...gaps)] })()"
    )
    browser.open(page)
    browser.run(f"document.querySelector('[name=training-axis][value={axis}]').click()")
    assert browser.run(cells) == [80, 0]


SHOWN = "[...document.querySelectorAll('#traces article')].filter(a => !a.hidden).map(a => a.id)"


def test_the_reader_follows_search_and_arrow_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.run(SHOWN) == ["traces-1"]
    browser.run("document.querySelector('#traces .list a').focus()")
    browser.press("ArrowDown")
    assert browser.run(SHOWN) == ["traces-2"]
    browser.run("document.querySelector('#traces input').focus()")
    browser.call("Input.insertText", text="Limit .31")
    assert browser.run("document.querySelector('#traces .found').textContent") == "3 of 12 found"
    assert browser.run(SHOWN) == ["traces-4"]


def test_hostile_text_runs_nothing(browser: Browser, hostile: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(render(hostile), encoding="utf-8")
    browser.open(path)
    assert browser.run("window.pwned") is None
    assert browser.run("document.querySelectorAll('script').length") == 3
    assert browser.run("document.querySelectorAll('img, iframe, object, a:not([href^=\"#\"])').length") == 0
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]


def test_numbers_that_are_not_known_break_no_chart(browser: Browser, degenerate: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "degenerate.html"
    path.write_text(render(degenerate), encoding="utf-8")
    browser.open(path)
    assert browser.run("document.querySelectorAll('.js-plotly-plot').length") == 5
    assert browser.complaints() == []


def test_the_whole_page_makes_a_picture(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page, width=400)
    browser.picture(tmp_path / "report.png")
    picture = (tmp_path / "report.png").read_bytes()
    width, height = int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])
    assert (width, height) == (400, browser.run("document.documentElement.scrollHeight"))
    assert len(picture) > 150_000  # an empty page of this size packs into a tenth of that


@pytest.fixture(scope="module")
def long_page(sample: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 traces, of which a few stand in the page and all in its archive."""
    items = [
        replace(item, trace=replace(item.trace, problem_id=f"p{n}", reasoning="x", teacher=f"{item.trace.teacher} é"))
        for n in range(300)
        for item in [sample.traces[n % len(sample.traces)]]
    ]
    path = tmp_path_factory.mktemp("report") / "long.html"
    path.write_text(render(ReportData(title="long", traces=items)), encoding="utf-8")
    return path


LISTED = "document.querySelectorAll('#traces .list a').length"
TIDY = "outerHTML.replace(/\\s*\\n\\s*/g, '').replace(/ (hidden|tabindex)=\"[^\"]*\"/g, '')"


def test_all_traces_are_listed_read_and_found(browser: Browser, long_page: Path) -> None:
    browser.open(long_page)
    assert browser.run(LISTED) == 300
    assert browser.run("document.querySelector('#traces .found').textContent") == "300 listed"
    assert browser.run(SHOWN) == ["traces-1"]
    browser.run("document.querySelectorAll('#traces .list a')[298].click()")
    assert browser.run(SHOWN) == ["traces-299"]
    assert browser.run("document.querySelector('#traces-299 h3').textContent") == "p298"
    browser.run("document.querySelector('#traces input').focus()")
    browser.call("Input.insertText", text="P25")
    assert browser.run("document.querySelector('#traces .found').textContent") == "11 of 300 found"
    assert browser.run(SHOWN) == ["traces-26"]
    assert browser.complaints() == []


def test_an_article_of_the_archive_is_laid_out_as_those_of_the_page(browser: Browser, long_page: Path) -> None:
    browser.open(long_page)
    for place in (26, 51):  # kept and dropped, with and without abandoned lines
        browser.run(f"document.querySelectorAll('#traces .list a')[{place - 1}].click()")
        ours = str(browser.run(f"document.getElementById('traces-{place}').{TIDY}"))
        browser.run(f"document.getElementById('traces-{place}').remove()")
        browser.run(f"document.querySelectorAll('#traces .list a')[{place - 1}].click()")
        assert browser.run(f"document.getElementById('traces-{place}').{TIDY}") == ours


def test_next_and_previous_walk_through_what_was_found(browser: Browser, long_page: Path) -> None:
    press = "document.querySelectorAll('#traces [data-turn]')[{}].click()"
    disabled = "[...document.querySelectorAll('#traces [data-turn]')].map(turn => turn.disabled)"
    browser.open(long_page)
    assert browser.run(disabled) == [True, False]
    browser.run(press.format(1))
    assert browser.run(SHOWN) == ["traces-2"] and browser.run(disabled) == [False, False]
    browser.run("document.querySelector('#traces input').focus()")
    browser.call("Input.insertText", text="p29")
    assert browser.run(SHOWN) == ["traces-30"]
    browser.run(press.format(1))
    assert browser.run(SHOWN) == ["traces-291"]
    browser.run(press.format(0))
    assert browser.run(SHOWN) == ["traces-30"] and browser.run(disabled) == [True, False]


def test_a_link_to_an_article_of_the_archive_opens_it(browser: Browser, long_page: Path) -> None:
    browser.call("Page.navigate", url="about:blank")
    browser.open(long_page, fragment="#traces-299")
    assert browser.run(SHOWN) == ["traces-299"]


@pytest.fixture(scope="module")
def two_page(two: TwoRuns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "compare.html"
    path.write_text(render_two_runs(two), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_two_runs_fit_every_width(browser: Browser, two_page: Path, width: int, scheme: str) -> None:
    browser.open(two_page, width=width, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run(CHARTS) == {"differences": 2, "parts": 3}
    assert browser.complaints() == [] and browser.requests() == [two_page.as_uri()]


def test_on_a_phone_a_row_of_scores_folds_into_names_and_values(browser: Browser, two_page: Path) -> None:
    inside = (
        "[...document.querySelectorAll('#scores .scores td')].every(cell => {"
        " const box = cell.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth })"
    )
    label = "getComputedStyle(document.querySelector('#scores .scores td:nth-of-type(2)'), '::before').content"
    browser.open(two_page, width=390)
    assert browser.run(inside) is True and browser.run(label) == '"accuracy"'
    browser.open(two_page)
    assert browser.run(label) == "none"


def test_a_gained_problem_shows_the_rollouts_of_both(browser: Browser, two_page: Path) -> None:
    browser.open(two_page)
    shown = "[...document.querySelectorAll('#rollouts article')].filter(a => !a.hidden)[0]"
    assert str(browser.run(f"{shown}.querySelector('.meta').textContent")).startswith("gained · solved ")
    assert browser.run(f"[...{shown}.querySelectorAll('.side h4')].map(h => h.textContent)") == ["A", "B"]
    marks = f"[...{shown}.querySelectorAll('.side .meta')].map(m => m.textContent.split(' · ')[0])"
    assert browser.run(marks) == ["✗ wrong", "✓ right"]
    evidence = "document.querySelector('#decisions details dl').checkVisibility()"
    assert browser.run(evidence) is False
    browser.run("document.querySelector('#decisions details summary').click()")
    assert browser.run(evidence) is True
    assert browser.complaints() == []


def test_every_control_has_a_name_and_shows_its_focus(browser: Browser, page: Path, two_page: Path) -> None:
    nameless = (
        "[...document.querySelectorAll('a, button, input, summary, [tabindex=\"0\"]')].filter(e =>"
        " !(e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label'))).length"
    )
    levels = "[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))"
    for path in (page, two_page):
        browser.open(path)
        assert browser.run(nameless) == 0
        found = browser.run(levels)
        assert isinstance(found, list) and found[0] == 1 and found.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(found))
        browser.press("Tab")
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
