"""Fuzz every reader for a while, and say what is neither read nor refused in one line.

    python tests/fuzz/run_fuzz.py --seconds 600 --seed 0 --out /tmp/fuzz
    python tests/fuzz/run_fuzz.py --seconds 600 --engine atheris          # pip install atheris: guided by coverage

Every target works in a process of its own, in which an input may take 10 seconds, its memory is
bounded, and each finding is kept under `--out` with the bytes that lead to it. Exit status 1 when there is any.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple


def instrumented() -> contextlib.AbstractContextManager[object]:
    """Under atheris, what is imported within tells which of its branches were taken."""
    if "atheris" not in sys.argv or "--visit" not in sys.argv:
        return contextlib.nullcontext()
    import atheris

    found: contextlib.AbstractContextManager[object] = atheris.instrument_imports(include=["titer"])
    return found


with instrumented():
    from fuzz_targets import TARGETS, Target

    from titer.errors import InputError

SLOWEST = 10.0  # CPU seconds that one small input may take
MEMORY = 12 << 30  # bytes of address space of a target's process
GROWTH = 1 << 30  # bytes by which its memory may grow beyond what it has after its first hundred inputs
LONGER = 6  # times the CPU seconds, by the clock: what other processes are waited for is no CPU time here
PER_VISIT = 25.0  # seconds a target gets at a time


class Finding(NamedTuple):
    """What went wrong, where in titer, and with which bytes."""

    target: str
    fault: str
    place: str
    data: bytes

    @property
    def key(self) -> str:
        return f"{self.target}|{self.fault.split(':')[0]}|{self.place}"


class TooSlow(BaseException):
    """An input that took too long; no `except Exception` swallows it."""


def judged(target: Target, data: bytes, work: Path) -> Finding | None:
    """Read the bytes once; None when they were read or refused in one line."""
    signal.setitimer(signal.ITIMER_PROF, SLOWEST)
    try:
        target.read(data, work)
    except InputError as error:
        line = str(error)
        if "\n" in line or not error.remedy:
            return Finding(target.name, "a refusal that is no line", line[:80], data)
    except TooSlow as error:
        return Finding(target.name, "TooSlow", _place(error), data)
    except BaseException as error:
        return Finding(target.name, f"{type(error).__name__}: {str(error)[:150]}", _place(error), data)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def inputs(target: Target, rng: random.Random) -> Iterator[bytes]:
    """The seeds as they are, then damaged ones without end; what was made lately is damaged further now and then."""
    seeds = list(target.seeds())
    yield from seeds
    lately = list(seeds)
    while True:
        data = rng.choice(target.damage)(rng.choice(seeds if rng.random() < 0.7 else lately), seeds, rng)
        if len(data) < 100_000:
            lately = [*lately[-30:], data]
        yield data


def visit(target: Target, seed: int, seconds: float, work: Path) -> None:
    """Fuzz one target in this process; a line of JSON on stdout for each finding, then one with the count."""
    _bounded()
    _warm(target, work)
    rng, until, seen = random.Random(f"{target.name} {seed}"), time.process_time() + seconds, set[str]()
    count, at_first, at_latest = 0, 0, time.monotonic() + LONGER * seconds
    for data in inputs(target, rng):
        (work / "now").write_bytes(data)
        finding = judged(target, data, work)
        count += 1
        at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if count == 100 else at_first
        if at_first and (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first) * 1024 > GROWTH:
            finding, at_first = finding or Finding(target.name, "memory grew by a GiB", "", data), 0
        if finding and finding.key not in seen:
            seen.add(finding.key)
            print(json.dumps({**finding._asdict(), "data": data.hex()}), flush=True)
        if time.process_time() > until or time.monotonic() > at_latest:
            break
    print(json.dumps({"count": count, "cpu": time.process_time()}), flush=True)


def visit_guided(target: Target, seed: int, seconds: float, work: Path) -> None:
    """The same with atheris: what reaches code that was not reached before is kept and damaged further."""
    import atheris

    _bounded()
    _warm(target, work)
    corpus, seen, counted = work / "corpus", set[str](), [0]
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(data)

    def one(data: bytes) -> None:
        counted[0] += 1
        finding = judged(target, data, work)
        if finding and finding.key not in seen:
            seen.add(finding.key)
            print(json.dumps({**finding._asdict(), "data": data.hex()}), flush=True)
        if counted[0] % 500 == 0:
            print(json.dumps({"count": 500, "cpu": time.process_time()}), flush=True)

    atheris.Setup(
        [sys.argv[0], f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", "-max_len=4096", str(corpus)], one
    )
    atheris.Fuzz()


def _warm(target: Target, work: Path) -> None:
    """Read a seed, so that imports are done before the clock runs."""
    with contextlib.suppress(Exception), instrumented():
        target.read(target.seeds()[0], work)


def _bounded() -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives

    def slow(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, slow)


def _place(error: BaseException) -> str:
    """The innermost line of titer's own."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/titer/" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else ""


def visited(target: Target, engine: str, seed: int, seconds: float) -> tuple[int, float, list[Finding]]:
    """Visit a target in a process of its own: inputs, CPU seconds, findings."""
    with tempfile.TemporaryDirectory(prefix="titer-fuzz-") as work:
        command = [sys.executable, __file__, "--visit", target.name, "--engine", engine, "--seed", str(seed)]
        process = subprocess.run(
            [*command, "--seconds", str(seconds), "--work", work],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=None if engine == "own" else 900,
        )  # fmt: skip
        said = [json.loads(line) for line in process.stdout.splitlines() if line.startswith(b"{")]
        findings = [Finding(**{**row, "data": bytes.fromhex(row["data"])}) for row in said if "target" in row]
        ends = [row for row in said if "count" in row]
        if process.returncode and engine == "own":
            now = Path(work, "now")
            data = now.read_bytes() if now.exists() else b""
            findings.append(Finding(target.name, f"the process ended with {process.returncode}", "", data))
        return sum(row["count"] for row in ends), max((row["cpu"] for row in ends), default=0.0), findings


def fuzz(
    targets: list[Target], engine: str, seed: int, seconds: float, out: Path, said: Callable[[str], None]
) -> dict[str, Any]:
    """Visit the targets in turn until the CPU time is spent."""
    counts, cpus, found = (
        dict.fromkeys((t.name for t in targets), 0),
        dict.fromkeys((t.name for t in targets), 0.0),
        dict[str, Finding](),
    )
    per_visit, spent, number = min(PER_VISIT, seconds / len(targets)), 0.0, 0
    while spent < seconds:
        target = targets[number % len(targets)]
        count, cpu, findings = visited(target, engine, seed + number // len(targets), per_visit)
        counts[target.name] += count
        cpus[target.name] += cpu
        spent, number = spent + max(cpu, 0.5), number + 1
        for finding in findings:
            if finding.key not in found:
                found[finding.key] = finding
                _keep(finding, out, len(found))
                said(f"finding {len(found)}: {finding.target}: {finding.fault} at {finding.place}")
        said(f"{spent:.0f} s of {seconds:.0f}: {target.name}, {count} inputs")
    return {
        "seconds": round(spent, 1),
        "inputs": sum(counts.values()),
        "targets": {name: {"inputs": counts[name], "seconds": round(cpus[name], 1)} for name in counts},
        "findings": [f"{one.target}: {one.fault} at {one.place}" for one in found.values()],
    }


def _keep(finding: Finding, out: Path, number: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{number:03d}.bin").write_bytes(finding.data)
    with (out / "findings.jsonl").open("a", encoding="utf-8") as file:
        file.write(
            json.dumps({"number": number, "target": finding.target, "fault": finding.fault, "place": finding.place})
            + "\n"
        )


def main() -> None:
    """Parse, fuzz, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["own", "atheris"], default="own")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--visit", default="", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.visit:
        target = next(one for one in TARGETS if one.name == asked.visit)
        return (visit if asked.engine == "own" else visit_guided)(target, asked.seed, asked.seconds, asked.work)
    targets = [target for target in TARGETS if asked.only in target.name]
    result = fuzz(
        targets,
        asked.engine,
        asked.seed,
        asked.seconds,
        asked.out,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(json.dumps(result, indent=1))
    raise SystemExit(1 if result["findings"] else 0)


if __name__ == "__main__":
    main()
