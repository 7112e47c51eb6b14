"""A cluster of this machine with two actors gives what one process gives, whoever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from titer.errors import InputError
from titer.generate import Completion, Request, Sampling
from titer.generate.workers.ray_engine import RayGenerator
from titer.lab import make_lab
from titer.lab.tasks import items
from titer.pipeline.sampling import make_generator
from titer.recipe import Generate, LabData, Measure
from titer.records import Trace, read_rollouts, read_traces, write_records
from titer.store import read_table
from titer.verbs import measure
from titer.verbs.traces import filter as filter_traces
from titer.verbs.traces import measure as measure_traces

SAMPLING = Sampling(temperature=1.0, max_tokens=64)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    yield
    ray.shutdown()


def requests() -> list[Request]:
    return [Request(item.problem.id, item.problem.prompt, n=4) for item in items("countdown3", 40, seed=0, held=True)]


def on_ray(model: str = "lab", **settings: object) -> RayGenerator:
    generate = Generate.model_validate({"engine": "ray", "ray": {"workers": 2, **settings}})
    generator = make_generator(model, generate, name=model)
    assert isinstance(generator, RayGenerator)
    generator._rows = 16  # many small pieces
    return generator


def keyed(completions: list[Completion]) -> dict[tuple[str, int], Completion]:
    found = {(one.request_id, one.sample): one for one in completions}
    assert len(found) == len(completions)  # nothing twice
    return found


def test_two_actors_and_one_killed_in_the_middle_give_what_one_process_gives() -> None:
    alone = keyed(list(make_generator("lab", Generate(), name="lab").stream(requests(), SAMPLING)))
    generator, found = on_ray(), []
    for completion in generator.stream(requests(), SAMPLING):
        found.append(completion)
        if len(found) == 20:
            pid = ray.get(generator._actors[0].__ray_call__.remote(lambda _: os.getpid()))
            os.kill(pid, signal.SIGKILL)
    assert keyed(found) == alone
    # and the one that was started again works
    assert keyed(list(generator.stream(requests()[:8], SAMPLING))) == keyed(
        [one for key, one in alone.items() if key[0] in {request.id for request in requests()[:8]}]
    )
    generator.close()


def test_what_an_actor_refuses_is_said_in_one_line() -> None:
    with pytest.raises(InputError, match="an actor cannot sample.*no model at 'nowhere'"):
        list(on_ray("nowhere").stream(requests(), SAMPLING))
    with pytest.raises(InputError, match="comes twice"):
        list(on_ray().stream([requests()[0]] * 2, SAMPLING))


def test_measure_on_ray_stores_what_measure_stores(tmp_path: Path) -> None:
    problems = [item.problem for item in items("countdown3", 12, seed=0, held=True)]
    write_records(tmp_path / "p.jsonl", problems)
    stored = {}
    for engine in ("transformers", "ray"):
        out = tmp_path / engine
        measure(
            "lab", tmp_path / "p.jsonl", out=out, settings=Measure(samples=4, max_tokens=64),
            generate=Generate.model_validate({"engine": engine}),
        )  # fmt: skip
        stored[engine] = {(one.problem_id, one.sample): one.response for one in read_rollouts(out / "rollouts.jsonl")}
    assert stored["ray"] == stored["transformers"]


def test_a_folder_of_shards_is_measured_row_for_row_as_one_process_does(tmp_path: Path) -> None:
    made = make_lab(LabData(problems={"countdown3": 60}, suites={}), seed=0).traces
    shards = tmp_path / "shards"
    for i in range(4):
        write_records(shards / f"traces-{i}.parquet", made[i::4])
    alone = measure_traces(shards, out=tmp_path / "alone.parquet", workers=1)
    together = measure_traces(shards, out=tmp_path / "parts", cluster="local")
    parts = [row for file in sorted((tmp_path / "parts").iterdir()) for row in read_table(file)]
    assert repr(parts) == repr(read_table(tmp_path / "alone.parquet")) and len(parts) == len(made)
    assert together.traces == alone.traces
    for teacher, means in alone.means.items():
        assert together.means[teacher] == pytest.approx(means, nan_ok=True)


def test_what_is_wrong_with_a_shard_is_said_as_without_a_cluster(tmp_path: Path) -> None:
    made = make_lab(LabData(problems={"countdown3": 4}, suites={}), seed=0).traces
    shards = tmp_path / "shards"
    write_records(shards / "a.jsonl", made)
    write_records(shards / "b.jsonl", made[:1])
    with pytest.raises(InputError, match="an id of a.jsonl comes again in b.jsonl"):
        measure_traces(shards, out=tmp_path / "parts", cluster="local")
    (shards / "b.jsonl").write_text('{"id": 3}\n')
    with pytest.raises(InputError, match="b.jsonl, row 1"):
        measure_traces(shards, out=tmp_path / "parts", cluster="local")
    with pytest.raises(InputError, match="no folder of data files"):
        measure_traces(shards / "a.jsonl", out=tmp_path / "parts", cluster="local")


@pytest.mark.parametrize(
    "settings",
    [
        {"by": "cue_share", "keep": 0.6, "per_problem": 1},
        {"by": "step_ratio", "keep": 0.5, "paired_with": "convergent"},
        {"by": "none", "verified": True, "near": 0.9, "longest": 900},
    ],
    ids=lambda settings: settings["by"],
)
def test_a_folder_of_shards_is_filtered_row_for_row_as_one_process_does(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    made = make_lab(LabData(problems={"countdown3": 60}, suites={}), seed=0)
    held = [item.problem for item in items("countdown3", 20, seed=0, held=True)]
    write_records(tmp_path / "held.jsonl", [*held, made.problems[0]])
    # one teacher's traces carry the answers of both, some of them wrong
    problems = {problem.id: problem for problem in made.problems}
    rows = [replace(trace, answer="", correct=None) for trace in made.traces]
    for i, row in enumerate(rows):
        if row.teacher == "convergent":
            of = problems[row.problem_id]
            answer = "1" if i % 5 == 0 else of.answer
            rows[i] = replace(row, answer=answer, verifier="exact" if i % 5 == 0 else of.verifier, meta=of.meta)
    for i in range(4):
        write_records(tmp_path / "shards" / f"traces-{i}.{'parquet' if i % 2 else 'jsonl'}", rows[i::4])
    given = settings | {"evaluation": [tmp_path / "held.jsonl"], "seed": 3}
    alone = filter_traces(tmp_path / "shards", out=tmp_path / "alone", **given)  # type: ignore[arg-type]
    (tmp_path / "parts" / "kept").mkdir(parents=True)
    (tmp_path / "parts" / "kept" / "part-00009.jsonl").write_text("of an earlier call\n")
    together = filter_traces(tmp_path / "shards", out=tmp_path / "parts", cluster="local", **given)  # type: ignore[arg-type]
    assert together[:2] == alone[:2] and repr(together[2:6]) == repr(alone[2:6])
    assert 0 < alone.kept < len(rows)
    for name in ("kept", "control"):
        parts = list(read_traces(tmp_path / "parts" / name))
        assert parts == list(read_traces(tmp_path / "alone" / f"{name}.jsonl"))
    dropped = [(tmp_path / where / "dropped.jsonl").read_text() for where in ("parts", "alone")]
    assert dropped[0] == dropped[1]


def test_one_id_for_two_questions_is_dropped_as_without_a_cluster(tmp_path: Path) -> None:
    for i, (prompt, answer) in enumerate({"1 + 1?": "2", "2 + 3?": "5"}.items()):
        response = f"So \\boxed{{{answer}}}."
        rows = [Trace(id=f"{i}", problem_id="0", prompt=prompt, response=response, answer=answer)]
        own = [Trace(id=f"{i}x", problem_id=f"{i}x", prompt=f"{prompt}?", response=response, answer=answer)]
        write_records(tmp_path / "shards" / f"{i}.jsonl", rows + own)
    with pytest.raises(InputError, match=r"1.jsonl.*trace '1' calls another question"):
        filter_traces(tmp_path / "shards", out=tmp_path / "k", by="none", verified=True, cluster="local")
    found = filter_traces(
        tmp_path / "shards", out=tmp_path / "k", by="none", verified=True, cluster="local", on_bad="drop"
    )
    assert (found.kept, len(found.dropped)) == (3, 1)
    assert [trace.id for trace in read_traces(tmp_path / "k" / "kept")] == ["0", "0x", "1x"]


def test_what_no_filter_can_do_is_said_as_without_a_cluster(tmp_path: Path) -> None:
    made = make_lab(LabData(problems={"countdown3": 4}, suites={}), seed=0).traces
    write_records(tmp_path / "kept" / "a.jsonl", [replace(trace, correct=None) for trace in made])
    with pytest.raises(InputError, match="this is the input too"):
        filter_traces(tmp_path / "kept", out=tmp_path, cluster="local")
    with pytest.raises(InputError, match="no trace has an answer to verify against"):
        filter_traces(tmp_path / "kept", out=tmp_path / "out", cluster="local", verified=True)
    (tmp_path / "kept" / "b.jsonl").write_text('{"id": 3}\n')
    with pytest.raises(InputError, match="b.jsonl, row 1"):
        filter_traces(tmp_path / "kept", out=tmp_path / "out", cluster="local")
    dropped = filter_traces(tmp_path / "kept", out=tmp_path / "out", cluster="local", on_bad="drop").dropped
    assert len(dropped) == 1 and "b.jsonl, row 1" in dropped[0]


def test_what_kills_every_actor_comes_back_as_errors_all_of_it() -> None:
    class Dying:
        """Takes its process with it, whatever it is asked. Defined here, so that it travels by value."""

        name = "dying"

        def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
            os._exit(1)
            yield

    generator = RayGenerator(Dying, name="dying", workers=1, rows=1)
    found = list(generator.stream([Request(f"r{i}", "?") for i in range(4)], SAMPLING))
    assert sorted(one.request_id for one in found) == [f"r{i}" for i in range(4)]
    assert {one.finish_reason for one in found} == {"error"}
    generator.close()
