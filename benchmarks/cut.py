"""What the cutter must never do: lose a character, or take longer than in proportion to the text.

    python benchmarks/cut.py [FILE ...]

Joins the steps of every trace of the files and compares them with the text, then measures texts of ten megabytes that
are made to be hard. Prints counts and seconds; exit 1 when a text is not given back.
"""

from __future__ import annotations

import sys
import time

from titer.records import read_traces
from titer.traces import measure_texts, read_steps

HARD = {
    "one line": "So we have x = 2 and then more ",
    "one repeated word": "perhaps ",
    "a million steps": "Perhaps.\n",
    "sentences": "So x = 3. ",
    "an open code fence": "```\n" + "x = 1. \n" * 100,
    "dollars": "$ ",
    "openers of formulas": "\\( ",
    "blank lines": "\n\n",
    "control characters": "\0\x01\x1b[31m a. ",
    "lone surrogates": "\ud800",
    "lines given up": "Alternatively, try A.\n\nThat is wrong.\n\n",
    "Chinese": "然后我们算。",
}
SIZE = 10_000_000  # bytes


def joined(file: str) -> tuple[int, int, int]:
    """Traces, steps, and texts that their steps do not give back."""
    traces = steps = lost = 0
    for trace in read_traces(file):
        traces += 1
        for text in (trace.reasoning, trace.response):
            found = read_steps(text)
            steps += len(found)
            lost += "".join(step.text for step in found) != text or any(
                text[step.start : step.end] != step.text for step in found
            )
    return traces, steps, lost


def main() -> None:
    """Check and print."""
    totals = [joined(file) for file in sys.argv[1:]]
    if totals:
        traces, steps, lost = map(sum, zip(*totals, strict=True))
        print(f"{traces} traces, {steps} steps, {lost} texts not given back")
    for name, unit in HARD.items():
        text = unit * (SIZE // len(unit.encode("utf-8", "surrogatepass")))
        began = time.process_time()
        count = int(measure_texts([text])["steps"][0])
        print(f"10 MB, {name:20} {count:9,} steps, {time.process_time() - began:.2f} s")
    sys.exit(any(lost for _, _, lost in totals))


if __name__ == "__main__":
    main()
