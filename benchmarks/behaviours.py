"""How well the rules tell what a step does: precision, recall and F1 against labelled sentences.

    python benchmarks/behaviours.py FILE [--half tuned|held-out] [--json]

FILE holds traces whose `steps` are objects with `text` and `tags`, in the taxonomy of the thought-anchors data
(plan_generation, uncertainty_management, self_checking, …). The problems are split in two by their order: on the first,
third, … the cues were tuned, the others were not looked at. Opening a branch is plan_generation or
uncertainty_management there, and propose or backtrack here; checking is self_checking there, and verify here.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path

from titer.traces.cues import BEHAVIOURS
from titer.traces.judge import RuleLabeller

OPENS_THERE, OPENS_HERE = {"plan_generation", "uncertainty_management"}, {"propose", "backtrack"}
PROXY = re.compile(r"\b(perhaps|another|alternatively)\b", re.IGNORECASE)


def labelled(path: Path, *, tuned: bool) -> list[list[tuple[str, str]]]:
    """(sentence, tag) of every trace of one half of the problems."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    problems = sorted({row["problem"] for row in rows})
    chosen = set(problems[::2] if tuned else problems[1::2])
    return [[(s["text"], s["tags"][0]) for s in row["steps"]] for row in rows if row["problem"] in chosen]


def scores(found: Sequence[bool], true: Sequence[bool]) -> dict[str, float]:
    """Precision, recall and their harmonic mean."""
    both = sum(a and b for a, b in zip(found, true, strict=True))
    precision, recall = both / max(1, sum(found)), both / max(1, sum(true))
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return {"precision": round(precision, 3), "recall": round(recall, 3), "f1": round(f1, 3)}


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--half", choices=("tuned", "held-out"), default="held-out")
    parser.add_argument("--errors", type=int, default=0, help="show this many mistaken sentences")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    traces = labelled(args.file, tuned=args.half == "tuned")
    labels = RuleLabeller().label([[text + " " for text, _ in trace] for trace in traces])
    rows = [
        (text, tag, label)
        for trace, found in zip(traces, labels, strict=True)
        for (text, tag), label in zip(trace, found, strict=True)
    ]
    opens = [tag in OPENS_THERE for _, tag, _ in rows]
    checks = [tag == "self_checking" for _, tag, _ in rows]
    result = {
        "half": args.half,
        "sentences": len(rows),
        "opening": scores([label in OPENS_HERE for *_, label in rows], opens),
        "opening_by_proxy_2": scores([bool(PROXY.search(text)) for text, *_ in rows], opens),
        "checking": scores([label == "verify" for *_, label in rows], checks),
        "confusion": {
            tag: {name: sum(t == tag and label == name for _, t, label in rows) for name in BEHAVIOURS}
            for tag in sorted({tag for _, tag, _ in rows})
        },
    }
    if args.json:
        print(json.dumps(result))
        return
    for name in ("half", "sentences", "opening", "opening_by_proxy_2", "checking"):
        print(f"{name:20} {result[name]}")
    print(f"{'':24}" + "".join(f"{name:>10}" for name in BEHAVIOURS))
    for tag, counts in result["confusion"].items():
        print(f"{tag:24}" + "".join(f"{counts[name]:>10}" for name in BEHAVIOURS))
    wrong = [(text, tag, label) for text, tag, label in rows if (tag in OPENS_THERE) != (label in OPENS_HERE)]
    for text, tag, label in wrong[:: max(1, len(wrong) // max(1, args.errors))][: args.errors]:
        print(f"{tag} → {label}: {text[:100]!r}")


if __name__ == "__main__":
    main()
