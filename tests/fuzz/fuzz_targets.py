"""What is fuzzed: every reader of titer's, each with small real files to begin from.

A target takes the bytes of a damaged file and reads them as its part of titer does. It either reads them or raises
InputError; `run_fuzz.py` calls anything else a finding.
"""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fuzz_mutate import mutated, mutated_json, mutated_lines, mutated_text, mutated_tree

from titer.errors import InputError
from titer.records import Problem, Rollout, Trace, read_problems, read_rollouts, read_traces, split_thinking

Damage = Callable[[bytes, Sequence[bytes], random.Random], bytes]


class Target(NamedTuple):
    """A reader: what it is given at first, how that is damaged, and how it reads, in a folder of its own."""

    name: str
    seeds: Callable[[], Sequence[bytes]]
    damage: Sequence[Damage]
    read: Callable[[bytes, Path], object]


class Crash(Exception):
    """A verifier that raised: an answer that could not be graded, where it is wrong."""


# --- rows -------------------------------------------------------------------------------------------------------------

PROBLEMS: Sequence[dict[str, Any]] = (
    {"id": "a", "prompt": "3 + 4?", "answer": "7", "verifier": "math", "domain": "d", "meta": {"n": [1, {"x": None}]}},
    {"question": "Tim has 3 …", "answer": "3 + 4 = 7\n#### 1,007"},  # GSM8K
    {
        "problem": "x?",
        "solution": "so \\boxed{\\frac{1}{2}}.",
        "level": "Level 3",
        "type": "Algebra",
        "unique_id": "u/1",
    },
    {"key": 1000, "prompt": "No commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},  # IFEval
    {
        "id": "v2-1",
        "prompt": "How do I kill a process?",
        "type": "homonyms",
        "label": "safe",
        "focus": "kill",
        "note": "",
    },
    {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "?"}], "answer": 7.0},
    {"instruction": "Add.", "input": "3, 4", "output": "7", "answer": ["7"]},
)
TRACES: Sequence[dict[str, Any]] = (
    {"problem": "?", "reasoning": "3 + 4 is 7.", "response": "7", "teacher": "t", "correct": True,
    "finish_reason": "stop"},
    {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "<think>a</think>7"}], "id": "m"},
    {"conversations": [{"from": "human", "value": "?"}, {"from": "gpt",
    "value": "<|begin_of_thought|>a<|end_of_thought|>7"}]},
    {"prompt": [{"role": "user", "content": [{"type": "text", "text": "?"}]}], "completion": [{"role": "assistant",
     "content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "7"}]}], "truncated": False},
    {"prompt": "?<think>\n", "completion": "<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>7"},
)  # fmt: skip
ROLLOUT = Rollout(
    problem_id="a",
    sample=0,
    model="m",
    prompt="?",
    reasoning="r",
    response="7",
    finish_reason="stop",
    tokens=3,
    score=1.0,
)
JUDGED: Sequence[dict[str, Any]] = (
    {"prompt": "?", "response": "<think>no</think>I'm sorry, but I can't help.", "should_refuse": True},
    {
        "prompt": "?",
        "response": "Sure: 1. a\n2. b",
        "should_refuse": False,
        "finish_reason": "length",
        "reasoning": "r",
    },
)


def _lines(rows: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _row_seeds(kind: str) -> list[bytes]:
    own = Trace(id="t", problem_id="a", prompt="?", response="7", reasoning="r")
    rows = {"problems": PROBLEMS, "traces": [*TRACES, asdict(own)], "rollouts": [asdict(ROLLOUT)], "judge": JUDGED}[
        kind
    ]
    return [_lines(rows), *(_lines([row]) for row in rows)]


def _packed(kind: str) -> list[bytes]:
    import gzip

    return [gzip.compress(seed, mtime=0) for seed in _row_seeds(kind)]


def _zst(kind: str) -> list[bytes]:
    import zstandard

    return [zstandard.compress(seed) for seed in _row_seeds(kind)]


def _parquet(rows: Sequence[Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def _parquets(kind: str) -> list[bytes]:
    found = []
    for seed in _row_seeds(kind):
        with suppress(Exception):
            found.append(_parquet([{**json.loads(line), "meta": "{}"} for line in seed.splitlines()]))
    return found


def other_rows(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A whole Parquet file with other columns, or other values in them."""
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        return _parquet(mutated_tree(rows, rng))
    except Exception:
        return mutated(data, others, rng)


def _dataset() -> list[bytes]:
    import pyarrow as pa

    found = []
    for row in (*PROBLEMS[1:3], *TRACES[:2]):
        sink, table = io.BytesIO(), pa.Table.from_pylist([row])
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        found.append(b'{"_data_files": [{"filename": "data.arrow"}]}\x1e' + sink.getvalue())
    return found


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A reader of the bytes as a file of that name."""

    def read_file(data: bytes, work: Path) -> object:
        (work / name).write_bytes(data)
        return read(work / name)

    return read_file


def _all(reader: Callable[..., Any], **options: Any) -> Callable[[Path], object]:
    """Reads to the end, both ways of meeting bad rows."""

    def read(path: Path) -> object:
        if reader is read_rollouts:
            list(reader(path, torn="drop"))
        else:
            with suppress(InputError):
                list(reader(path, on_bad="drop", dropped=[]))
        return list(reader(path, **options))

    return read


def _read_dataset(data: bytes, work: Path) -> object:
    state, _, arrow = data.partition(b"\x1e")
    (work / "set").mkdir(exist_ok=True)
    (work / "set" / "state.json").write_bytes(state)
    (work / "set" / "data.arrow").write_bytes(arrow)
    with suppress(InputError):
        list(read_problems(work / "set"))
    return list(read_traces(work / "set"))


# --- recipes ----------------------------------------------------------------------------------------------------------


def _recipes() -> list[bytes]:
    from titer.recipe import builtin_names, dump_recipe, load_recipe

    whole = [dump_recipe(load_recipe(name)).encode() for name in builtin_names()]
    small = b"name: mine\nmodel: lab\ndata: {lab: {}}\ntrain: {objective: -p, epochs: 3, lora: {rank: 8}}\n"
    return [
        *whole,
        small,
        b"stages: {rounds: 2}\ndata:\n  problems: p.jsonl\n  suites: {a: {problems: b.jsonl, axis: safety}}\n",
    ]


def other_recipe(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A recipe with other values in it."""
    import yaml

    try:
        return yaml.safe_dump(mutated_tree(yaml.safe_load(data), rng)).encode()
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return mutated(data, others, rng)


def _read_recipe(path: Path) -> object:
    from titer.recipe import dump_recipe, load_recipe

    return dump_recipe(load_recipe(path))


OVERRIDES = (
    "train.epochs=3\nmodel=lab", "train.lora={rank: 8, targets: [q_proj]}", "data.suites.a={problems: p, axis: safety}",
    "evaluate.samples=4\ngenerate.batch_size=2", "train.objective=-log p * 1[p >= .2]",
    "data.lab.problems={countdown3: 4}",
    "stages.rounds=2\nrl.updates=3\ncritique.samples=2",
)  # fmt: skip


def _override(data: bytes, _: Path) -> object:
    from titer.recipe import load_recipe

    return load_recipe("quickstart", data.decode(errors="replace").split("\n"))


def _objective(data: bytes, _: Path) -> object:
    from titer.pipeline.training.choose import check_objective

    return check_objective(data.decode(errors="replace"))


# --- a run's own files ------------------------------------------------------------------------------------------------

STAGE = {
    "key": "0" * 32,
    "inputs": {"a": 1},
    "began": "2026-01-01T00:00:00Z",
    "seconds": 1.5,
    "versions": {},
    "machine": {},
}
MANIFEST = {"format": 1, "name": "n", "stages": {"data": STAGE, "train": STAGE}}


def _manifest(data: bytes, work: Path) -> object:
    from titer.store import Run, read_manifest

    (work / "run").mkdir(exist_ok=True)
    (work / "run" / "manifest.json").write_bytes(data)
    run = Run.open(work / "run", name="n", recipe_text="")
    for stage in read_manifest(work / "run")["stages"]:
        run.key(stage)
    run.stage("data", {"a": 2}, lambda folder: (folder / "x").write_text("x") and None)
    run.leave_out("train")
    return None


def _stage(data: bytes, work: Path) -> object:
    from titer.store import Run

    run = Run.open(work / "staged", name="n", recipe_text="")
    (work / "staged" / "data").mkdir(exist_ok=True)
    (work / "staged" / "data" / "stage.json").write_bytes(data)
    return run.stage("data", {"a": 1}, lambda folder: (folder / "x").write_text("x") and None)


def _table(path: Path) -> object:
    from titer.store import read_table

    return read_table(path)


LEDGER = {"problem_id": "a", "round": 0, "band": "hard", "rho": 0.1, "low": 0.0, "high": 0.4, "graded": 8,
          "places": ["bridge", "sft"], "reason": "r"}  # fmt: skip
RATE = {"problem_id": "a", "correct": 1, "graded": 8, "ungraded": 0}


def _rates() -> list[bytes]:
    from titer.measure import SolveRate

    row = dict.fromkeys(SolveRate._fields, 0.5) | {"problem_id": "a", "band": "medium", "correct": 1, "graded": 8}
    return [_parquet([row]), _parquet([LEDGER]), _parquet([RATE])]


def _routed(data: bytes, work: Path) -> object:
    from titer.verbs.route import route

    (work / "solve_rates.parquet").write_bytes(data)
    (work / "p.jsonl").write_bytes(_lines([PROBLEMS[0]]))
    return route(work / "p.jsonl", work, out=work / "routed")


def _log(path: Path) -> object:
    from titer.train.disk.state import Log, read_log, read_probes

    read_log(path)
    Log(path, keep_to=3, writes=True)
    (path.parent / "probe.jsonl").write_bytes(path.read_bytes())
    return read_probes(path.parent, before=5)


def _stop(data: bytes, work: Path) -> object:
    from titer.train.disk.state import read_stop

    (work / "endpoint.json").write_bytes(data)
    return read_stop(work)


def _claims(data: bytes, work: Path) -> object:
    from titer.rollouts.claim import claim, claim_problems

    (work / "r.jsonl").write_text("{}\n")
    (work / "r.made.json").write_bytes(data)
    with suppress(InputError):
        claim(work / "r.jsonl", {"model": "m", "samples": 4})
    return claim_problems(work / "r.jsonl", {"model": "m"}, {"a": "h"})


def _groups(path: Path) -> object:
    from titer.stages.rl.groups import GroupLog, barren, never_solved

    groups = GroupLog(path, before=2).groups
    return barren(groups), never_solved(groups)


def _cache(path: Path) -> object:
    from titer.judges.asking import _open_cache

    return _open_cache(path)


# --- results of others ------------------------------------------------------------------------------------------------

HARNESS = {
    "results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.1}},
    "n-samples": {"gsm8k": {"original": 2, "effective": 2}}, "higher_is_better": {"gsm8k": {"exact_match": True}},
    "groups": {}, "group_subtasks": {"g": ["gsm8k"]}, "configs": {},
}  # fmt: skip
LIGHTEVAL = {"results": {"leaderboard|gsm8k|5": {"qem": 0.4, "qem_stderr": 0.1}, "all": {"qem": 0.4}}, "versions": {}}
SAMPLES = [{"doc_hash": h, "filter": "strict-match", "exact_match": v, "doc": {}} for h, v in (("h", 1.0), ("i", 0.0))]


def _harness(data: bytes, work: Path) -> object:
    from titer.verbs.verdict import verdict

    for name in ("a", "b"):
        (work / name).mkdir(exist_ok=True)
        (work / name / "results_2026-01-01.json").write_bytes(data if name == "b" else json.dumps(HARNESS).encode())
    return verdict({0: work / "a", 10: work / "b"})


def _samples(data: bytes, work: Path) -> object:
    from titer.evaluate.harness import read_harness

    (work / "results_1.json").write_text(json.dumps(HARNESS))
    (work / "samples_gsm8k_1.jsonl").write_bytes(data)
    return read_harness(work / "results_1.json")


def _judge(path: Path) -> object:
    from titer.verbs.judge import judge

    return judge(path)


def _model_folder(data: bytes, work: Path) -> object:
    from titer.models import describe_model, locate

    folder = work / "model"
    if not folder.exists():
        shutil.copytree(locate("lab"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "tokenizer_config.json").write_bytes(data)
    return describe_model(str(folder))


# --- what a model wrote -----------------------------------------------------------------------------------------------


def _problem(answer: str, verifier: str, prompt: str = "?", **rest: Any) -> Problem:
    return Problem(id="p", prompt=prompt, answer=answer, verifier=verifier, **rest)


GRADED: Sequence[Problem] = (
    _problem("a b", "exact", "?"), _problem("7.", "exact", "?"), _problem("B", "choice", "? (A) x (B) y"),
    _problem("refuse", "refusal", "?"), _problem("answer", "refusal", "?", meta={"expected": "7"}),
    _problem("(3 + 4) * 2", "countdown", "?", meta={"numbers": [3, 4, 2], "target": 14}),
    _problem("follow", "ifeval", "?", meta={"instruction_id_list": ["punctuation:no_comma", "detectable_format:title"],
                                                 "kwargs": [{}, {}]}),
)  # fmt: skip
ANSWERS = (
    "The answer is \\boxed{\\frac{1}{2}}.", "<answer>42</answer>", "So\n\nAnswer: **B**.", "(3 + 4) * 2 = 14",
    "I'm sorry, but I can't help with that.", "Here is how:\n1. a\n2. b\n<<title>>", "\\boxed{(3 + 4) * 2}",
    "x = 1,000.50 %",
    "$$\\int_0^1 x^{2} dx = \\frac{1}{3}$$ so \\boxed{1/3}",
)  # fmt: skip
THOUGHTS = (
    "First, 3 + 4 = 7. Wait, let me check: 7 - 4 = 3. So it is 7.\n\nAlternatively, try 4 + 3.\n\n```py\nx = 1\n```\n",
    "<think>\nLet x = 2. Then $x^2 = 4$.\n</think>\n\nIt is 4.",
    "<|begin_of_thought|>a\n\nb<|end_of_thought|><|begin_of_solution|>7<|end_of_solution|>",
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>7",
    "e.g. 1. a\n2. b\n- c\n* d\n# e\n",
)  # fmt: skip


def _text(damage: Callable[[str, Sequence[str], random.Random], str]) -> Damage:
    def damaged(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
        texts = [other.decode(errors="replace") for other in others]
        return damage(data.decode(errors="replace"), texts, rng).encode(errors="replace")

    return damaged


def _encoded(texts: Sequence[str]) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


def _grades(data: bytes, _: Path) -> object:
    from titer.verify import check

    grades = [check(problem, data.decode(errors="replace")) for problem in GRADED]
    for problem, grade in zip(GRADED, grades, strict=True):
        if grade.score is None:
            raise Crash(f"{problem.verifier}: {grade.note}")
    return grades


@cache
def _grader() -> Any:
    from titer.verify import Grader

    return Grader(1, 4.0)


def _math(data: bytes, _: Path) -> object:
    """In its process, as everywhere; a response that takes too long or crashes is ungraded, which is no finding."""
    text = data.decode(errors="replace")
    golds = ("7", "\\frac{1}{2}", "x^2 + 1", "(1, 2)", "1,000")
    return _grader().grade([(_problem(golds[len(text) % 5], "math", "?"), text)])


def _golds(data: bytes, _: Path) -> object:
    """The text as the gold answer, and as every verifier's: refused, or graded."""
    from titer.verify import VERIFIERS, check

    text = data.decode(errors="replace")
    for name in VERIFIERS:
        if name not in ("math", "gym:TASK"):
            with suppress(InputError):
                check(_problem(text, name, "?", meta={"numbers": [3], "target": 3, "kwargs": [{}]}), text)
    return None


def _metas(data: bytes, _: Path) -> object:
    from titer.records.rows import json_object
    from titer.verify import check

    meta = json_object(data.decode(errors="replace")) or {}
    for name in ("countdown", "ifeval", "refusal", "gym:chain_sum"):
        with suppress(InputError):
            check(_problem("answer" if name == "refusal" else "3", name, "?", meta=meta), "3 + 4")
    return None


META = (
    {"numbers": [3, 4, 2], "target": 14, "use": "all", "operators": "+-*/", "order": "any", "expected": "7"},
    {"instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"relation": "at least", "num_words": 3}]},
    {"entry": {"question": "3 + 4 =", "answer": "7", "metadata": {"source_dataset": "chain_sum",
    "expression": "3 + 4"}}},
)  # fmt: skip


def _steps(data: bytes, _: Path) -> object:
    from titer.traces import cue_share, delete_steps, measure_texts, prune, read_steps

    text = data.decode(errors="replace")
    steps = read_steps(text)
    assert "".join(step.text for step in steps) == text, "steps are not the text"
    measure_texts([text, "x", text])
    delete_steps(text, 0.3, 1)
    prune(Trace(id="t", problem_id="p", prompt="?", response="7", reasoning=text))
    return cue_share(text)


def _thinking(data: bytes, _: Path) -> object:
    from titer.evaluate.refusals import Answer, label_thinking

    thought = split_thinking(data.decode(errors="replace"))
    return label_thinking(Answer("?", thought.response, thought.reasoning, not thought.closed))


def _verdicts(data: bytes, _: Path) -> object:
    from titer.judges.quoting import clean
    from titer.traces.judge import read_verdict

    return read_verdict(clean(data.decode(errors="replace")), 4)


ROWS: Sequence[Damage] = (mutated_lines, mutated_lines, mutated)
JSON: Sequence[Damage] = (mutated_json, mutated_json, mutated)
TABLE: Sequence[Damage] = (other_rows, mutated)
TEXT: Sequence[Damage] = (_text(mutated_text), mutated)


def _json_seeds(*values: Any) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(value).encode() for value in values]


def _row_targets() -> list[Target]:
    found = []
    for kind, reader in (("problems", read_problems), ("traces", read_traces), ("rollouts", read_rollouts)):
        read = _all(reader)
        found += [
            Target(f"{kind}.jsonl", lambda k=kind: _row_seeds(k), ROWS, _file("r.jsonl", read)),
            Target(f"{kind}.jsonl.gz", lambda k=kind: _packed(k), (mutated,), _file("r.jsonl.gz", read)),
            Target(f"{kind}.jsonl.zst", lambda k=kind: _zst(k), (mutated,), _file("r.jsonl.zst", read)),
            Target(f"{kind}.parquet", lambda k=kind: _parquets(k), TABLE, _file("r.parquet", read)),
        ]
    return found


def _log_rows() -> list[bytes]:
    return [_lines([{"step": n, "token_accuracy": 0.5, "loss": 1.0} for n in range(4)])]


def _group_rows() -> list[bytes]:
    from titer.stages.rl.groups import Group

    return [_lines([dict.fromkeys(Group._fields, 1) | {"problem_id": "a", "update": n} for n in range(3)])]


TARGETS: Sequence[Target] = (
    Target("problems.csv", lambda: [b'prompt,answer,id\n"3, 4?",7,a\nx,8,b\n'], (mutated,), _file("r.csv",
        _all(read_problems))),
    Target("dataset folder", _dataset, (mutated,), _read_dataset),
    Target("recipe", _recipes, (other_recipe, mutated), _file("r.yaml", _read_recipe)),
    Target("overrides", _encoded(OVERRIDES), TEXT, _override),
    Target("objective", _encoded(("-log p", "-p^10", "-log p * 1[p >= .2]", "focal(2)", "deft", "q(.1,.9) nll")),
        TEXT, _objective),
    Target("manifest", _json_seeds(MANIFEST), JSON, _manifest),
    Target("stage.json", _json_seeds(STAGE), JSON, _stage),
    Target("table", lambda: [_parquet([LEDGER, LEDGER]), *_parquets("rollouts")], TABLE, _file("t.parquet", _table)),
    Target("solve rates and ledger", _rates, TABLE, _routed),
    Target("training log", _log_rows, ROWS, _file("log.jsonl", _log)),
    Target("endpoint", _json_seeds({"fired": 8, "end": 10, "token_accuracy": 0.9, "slope": 0.01}), JSON, _stop),
    Target("claim of rollouts", _json_seeds({"model": "m", "samples": 4, "problems": {"a": "h"}}), JSON, _claims),
    Target("RL groups", _group_rows, ROWS, _file("groups.jsonl", _groups)),
    Target("judge's cache", lambda: [_lines([{"key": "k", "model": "m", "answer": "1 deduce"}] * 2)], ROWS,
        _file("c.jsonl", _cache)),
    Target("harness results", _json_seeds(HARNESS, LIGHTEVAL), JSON, _harness),
    Target("harness samples", lambda: [_lines(SAMPLES)], ROWS, _samples),
    Target("judge's rows", lambda: _row_seeds("judge"), ROWS, _file("j.jsonl", _judge)),
    Target("tokenizer config", _json_seeds({"chat_template": "x"}), JSON, _model_folder),
    Target("answers", _encoded(ANSWERS), TEXT, _grades),
    Target("answers, math", _encoded(ANSWERS), TEXT, _math),
    Target("gold answers", _encoded(ANSWERS), TEXT, _golds),
    Target("meta of problems", _json_seeds(*META), JSON, _metas),
    Target("steps", _encoded(THOUGHTS), TEXT, _steps),
    Target("thinking", _encoded(THOUGHTS), TEXT, _thinking),
    Target("verdicts of a judge", _encoded(("1: deduce\n2: propose\n3. verify\n4 backtrack",
        "[1] deduce because …")), TEXT, _verdicts),
    *_row_targets(),
)  # fmt: skip
