"""Mutation tests: changes of a room's code that no test of the room notices.

    pip install "mutmut>=3.8,<3.9"
    python tools/mutate.py objectives --out /tmp/objectives.json
    python tools/mutate.py objectives --out /tmp/half.json --part 1/2     # and 2/2 beside it
    python tools/mutate.py objectives --out /tmp/again.json --again /tmp/objectives.json     # those that survived

mutmut makes the mutants, each a function with one thing changed, in a copy of the tree. They are run here and not by
mutmut, because it collects the tests anew for each: here they are collected once, and for every mutant a fork of that
process runs the tests that reach the changed function, shortest first, until one fails. Prints each survivor as a diff.
A mutant that runs for ever, or ends its process, is neither killed nor survived ("ended"); one that only words an error
otherwise is not tried ("message").
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib
import json
import math
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import Phase, settings
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

TREE = Path(__file__).resolve().parents[1]
MESSAGE = re.compile(r"InputError|_fault\(|remedy|raise |fault = ")  # a line that words an error


class Room(NamedTuple):
    """Files whose functions are changed, and the tests that are to notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = {
    "objectives": Room(
        tuple(f"objectives/{name}.py" for name in ("family", "spec", "rows", "head", "products", "divergence")),
        ("objectives/test_family.py", "objectives/test_head.py"),
    ),
    "verdict": Room(
        tuple(f"dynamics/{name}.py" for name in ("axis", "curve", "length", "trend", "verdict")), ("dynamics",)
    ),
    "solve-rate": Room(tuple(f"measure/{name}.py" for name in ("bands", "stopping", "chooser", "prior")), ("measure",)),
    "grading": Room(
        (
            "verify/table.py",
            "verify/answers.py",
            "verify/prose.py",
            *(f"verify/verifiers/{n}.py" for n in ("exact", "choice", "countdown", "refusal", "mathematics")),
        ),
        tuple(f"verify/test_verify_{name}.py" for name in ("answers", "mathematics", "countdown", "rules")),
    ),
    "scores": Room(
        ("evaluate/metrics.py", "evaluate/compare.py", "evaluate/guessing.py"),
        ("evaluate/test_metrics.py", "evaluate/test_compare.py", "evaluate/test_guessing.py"),
    ),
}


class Mutant(NamedTuple):
    """One changed function: its name as mutmut has it, the function that it stands for, and what is different."""

    name: str
    function: str
    diff: str


def main() -> None:
    """Run the mutants of one room."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=ROOMS)
    parser.add_argument("--out", type=Path, required=True, help="where the results go, as JSON")
    parser.add_argument("--again", type=Path, help="results of an earlier run: only what it did not kill")
    parser.add_argument("--slow", type=float, default=2.0, help="leave out tests of more seconds of CPU")
    parser.add_argument("--minutes", type=float, default=math.inf, help="try mutants in random order for so long")
    parser.add_argument("--seed", type=int, default=0, help="of that order: another one tries another sample")
    parser.add_argument("--part", type=part, default=(1, 1), help="K/N: every Nth mutant from the Kth on")
    args = parser.parse_args()
    room, out = ROOMS[args.room], args.out.resolve()
    earlier = json.loads(args.again.read_text()) if args.again else []
    only = {one["name"] for one in earlier if one["status"] in ("survived", "no test", "ended")}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "titer"
        mutants = [one for one in make(work, room.files) if not args.again or one.name in only]
        random.Random(args.seed).shuffle(mutants)
        first, parts = args.part
        mutants = mutants[first - 1 :: parts]
        os.chdir(work)
        sys.path.insert(0, str(work / "src"))
        tests = [f"tests/{one}" for one in room.tests]
        pytest.main(["-q", "-p", "no:xdist", *tests], plugins=[Trials(mutants, out, args.slow, 60 * args.minutes)])


def part(text: str) -> tuple[int, int]:
    """The two numbers of "K/N"."""
    first, _, parts = text.partition("/")
    found = int(first), int(parts)
    if not 1 <= found[0] <= found[1]:
        raise ValueError(text)
    return found


def make(work: Path, files: Sequence[str]) -> list[Mutant]:
    """Copy the tree to `work` with all mutants of `files` in it, none of them active."""
    for name in ("src", "tests", "pyproject.toml"):
        copy = shutil.copytree if (TREE / name).is_dir() else shutil.copy
        work.mkdir(exist_ok=True)
        copy(TREE / name, work / name)
    found = []
    for file in files:
        path = work / "src" / "titer" / file
        mutated = mutate_file_contents(str(path), path.read_text())
        path.write_text(mutated.code)
        module, lines = "titer." + file.removesuffix(".py").replace("/", "."), lines_of(mutated.code)
        for name in mutated.mutant_names:
            function = name.rpartition("__mutmut_")[0]
            diff = difflib.unified_diff(lines[f"{function}__mutmut_orig"], lines[name], n=1, lineterm="")
            found.append(Mutant(f"{module}.{name}", f"{module}.{function}", "\n".join([*diff][3:])))
    return found


def lines_of(code: str) -> dict[str, list[str]]:
    """The lines of each function's body, by its name."""
    lines = code.splitlines()
    functions = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    return {node.name: lines[node.lineno : node.end_lineno] for node in functions}


class Trials:
    """Instead of running the tests once: once for which functions each reaches, then those for every mutant."""

    def __init__(self, mutants: Sequence[Mutant], out: Path, slow: float, seconds: float) -> None:
        self.mutants, self.out, self.slow, self.seconds = mutants, out, slow, seconds

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all mutants, and write what became of them."""
        without_shrinking()
        place = self.out.with_suffix(".tests.json")
        self._forked(lambda: survey(session.items, place), seconds=3600.0)
        tests, modules = json.loads(place.read_text())
        failing = [item.nodeid for item, (seconds, _) in zip(session.items, tests, strict=True) if seconds == math.inf]
        print("left out, for they fail without a mutant too:", ", ".join(failing) or "none")
        for module in modules:  # so that no fork has to
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        results, begun = [], time.monotonic()
        for mutant in self.mutants:
            if time.monotonic() - begun > self.seconds:
                break
            reach = sorted((seconds, index) for index, (seconds, hits) in enumerate(tests) if mutant.function in hits)
            results.append({**mutant._asdict(), "status": self._status(mutant, session.items, reach)})
            if results[-1]["status"] in ("survived", "no test"):
                print(f"\n{results[-1]['status']}: {mutant.name}\n{mutant.diff}", flush=True)
            self.out.write_text(json.dumps(results, indent=1))
        print(f"\n{len(results)} of {len(self.mutants)} mutants:", dict(Counter(one["status"] for one in results)))
        return True

    def _status(self, mutant: Mutant, items: Sequence[pytest.Item], reach: Sequence[tuple[float, int]]) -> str:
        if rewords(mutant.diff):
            return "message"
        quick = [(seconds, index) for seconds, index in reach if seconds <= self.slow]
        limit = 15.0 + 3 * sum(seconds for seconds, _ in quick)
        return self._tried(mutant.name, [items[index] for _, index in quick], limit) if quick else "no test"

    def _tried(self, name: str, items: Sequence[pytest.Item], limit: float) -> str:
        def run() -> bool:
            set_mutant_under_test(name)
            return any(fails(item, after) for item, after in zip(items, [*items[1:], None], strict=True))

        return {0: "survived", 1: "killed"}.get(self._forked(run, limit), "ended")

    def _forked(self, work: Callable[[], bool], seconds: float) -> int:
        """0 or 1 as `work` says, in a fork of this process; 1000 and the signal where one ended it."""
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 1), os.dup2(nothing, 2)
            signal.setitimer(signal.ITIMER_PROF, seconds)  # of CPU: a busy machine makes nothing slower
            signal.setitimer(signal.ITIMER_REAL, 10 * seconds)
            try:
                os._exit(int(work()))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what its tests started
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1000 + os.WTERMSIG(status)


def without_shrinking() -> None:
    """Examples that fail are not made smaller, nor others looked for: that one fails is enough."""
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile(
        "mutate", deadline=None, phases=phases, database=None, derandomize=True, report_multiple_bugs=False
    )
    settings.load_profile("mutate")


def survey(items: Sequence[pytest.Item], place: Path) -> bool:
    """Which functions each test reaches, how long it takes (inf: it fails, as one does that looks at what a room
    imports), and the modules imported on the way, written to `place`."""
    os.environ["MUTANT_UNDER_TEST"] = "stats"
    found, known = [], set(sys.modules)
    for item, after in zip(items, [*items[1:], None], strict=True):
        state()._stats.clear()
        begun, loaded = time.process_time(), len(sys.modules)
        failed = fails(item, after)
        # the first test of its kind imports much that no fork will import again
        took = time.process_time() - begun if len(sys.modules) == loaded else 0.0
        found.append((math.inf if failed else took, sorted(state()._stats)))
    new = [name for name in sys.modules if name not in known and not name.startswith(("titer", "test"))]
    place.write_text(json.dumps([found, new]))
    return False


def fails(item: pytest.Item, after: pytest.Item | None) -> bool:
    """Whether a test fails, or its fixtures do. Without pytest's report, which takes longer than most tests."""
    item._initrequest()
    hooks = item.ihook
    calls = (
        pytest.CallInfo.from_call(lambda: hooks.pytest_runtest_setup(item=item), "setup"),
        pytest.CallInfo.from_call(lambda: hooks.pytest_runtest_call(item=item), "call"),
        pytest.CallInfo.from_call(lambda: hooks.pytest_runtest_teardown(item=item, nextitem=after), "teardown"),
    )
    return any(call.excinfo and not isinstance(call.excinfo.value, pytest.skip.Exception) for call in calls)


def rewords(diff: str) -> bool:
    """Whether a mutant changes nothing but the words of an error."""
    old, new = ([line[1:] for line in diff.splitlines() if line.startswith(sign)] for sign in "-+")
    same = len(old) == len(new) == 1 and old[0].lower() == new[0].lower().replace("xx", "")
    return same and bool(MESSAGE.search(old[0]))


if __name__ == "__main__":
    main()
