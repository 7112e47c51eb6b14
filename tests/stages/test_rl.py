"""RL: groups, refills, three-valued rewards, resume, adapters, and a training with nothing to learn from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from titer import verbs
from titer.errors import InputError
from titer.generate.protocol import Request
from titer.lab.tasks import items
from titer.models import add_lora, load_model
from titer.recipe import Lora, Rl
from titer.records import Problem, read_rollouts, write_records
from titer.stages.rl import Group, never_solved, read_groups
from titer.stages.rl.groups import GroupLog, Queue, barren
from titer.stages.rl.sampling import Drawn, Draws
from titer.train.disk.state import read_log
from titer.verify import Grader

PROBLEMS = [Problem(id=f"p{i}", prompt=f"{i}?", answer="7", verifier="exact") for i in range(6)]
WRONG, RIGHT = "Answer: 8", "Answer: 7"


def draws(folder: Path, grader: Grader, **changed: Any) -> Draws:
    settings: dict[str, Any] = {"prompts": 3, "samples": 2, "refills": 1, "cut": "wrong", **changed}
    log = GroupLog(folder / "groups.jsonl", before=0)
    return Draws(Queue(PROBLEMS, 0), log, folder / "failures.jsonl", grader, name="m", **settings)


def answering(responses: dict[str, tuple[str, str]], ended: bool = True) -> Any:
    """A sampler that gives each problem its two responses; the others get a right and a wrong one."""

    def sample(requests: Sequence[Request]) -> list[list[Drawn]]:
        texts = [responses.get(request.id.split(":", 1)[1], (RIGHT, WRONG)) for request in requests]
        return [[Drawn([1], [5, 6], "", text, ended) for text in some] for some in texts]

    return sample


def test_a_queue_shows_every_problem_once_an_epoch() -> None:
    queue = Queue(PROBLEMS, 3)
    first, second = queue.take(0, 6), queue.take(6, 6)
    assert sorted(one.id for one in first) == sorted(one.id for one in second) == [f"p{i}" for i in range(6)]
    assert [one.id for one in first] != [one.id for one in second]
    assert queue.take(4, 4) == [*first[4:], *second[:2]]


def test_dead_groups_are_counted_and_replaced(tmp_path: Path) -> None:
    first, second, third = (problem.id for problem in Queue(PROBLEMS, 0).take(0, 3))
    with Grader(workers=1) as grader:
        some = draws(tmp_path, grader)
        batch = some.of_update(0, answering({first: (WRONG, WRONG), second: (RIGHT, RIGHT)}))
    assert len(batch.drawn) == 6 and sum(group.live for group in batch.groups) == 3
    assert batch.rewards == [1.0, 0.0] * 3  # the third and the two that came in for the dead ones
    figures = batch.figures
    assert (figures["groups"], figures["refilled"], figures["ungraded"]) == (5, 2, 0)
    assert figures["dead_groups"] == pytest.approx(0.4) and figures["failed_groups"] == pytest.approx(0.2)
    assert [group.number for group in read_groups(tmp_path / "groups.jsonl")] == [0, 1, 2, 3, 4]
    failures = list(read_rollouts(tmp_path / "failures.jsonl"))
    assert {one.problem_id for one in failures} == {first} and [one.sample for one in failures] == [0, 1]
    assert third not in {one.problem_id for one in failures}


def test_what_is_missing_is_filled_up_with_dead_groups(tmp_path: Path) -> None:
    with Grader(workers=1) as grader:
        batch = draws(tmp_path, grader).of_update(0, answering({f"p{i}": (WRONG, WRONG) for i in range(6)}))
    assert batch.rewards == [0.0] * 6 and batch.figures["refilled"] == 3


def test_what_cannot_be_graded_gets_no_reward(tmp_path: Path) -> None:
    """A verifier that times out on every answer."""
    slow = [Problem(id="p0", prompt="?", answer="7", verifier="math")]
    with Grader(workers=1, timeout=1e-9) as grader:
        some = draws(tmp_path, grader, prompts=1, refills=0)
        some.queue = Queue(slow, 0)
        batch = some.of_update(0, answering({}))
    assert batch.rewards == [None, None] and batch.figures["ungraded"] == 2
    (group,) = batch.groups
    assert not group.live and not group.failed and not group.solved
    assert not (tmp_path / "failures.jsonl").exists() and never_solved([group]) == []


@pytest.mark.parametrize(("cut", "reward"), [("wrong", 0.0), ("ignore", None)])
def test_what_was_cut_counts_as_the_settings_say(cut: str, reward: float | None, tmp_path: Path) -> None:
    with Grader(workers=1) as grader:
        batch = draws(tmp_path, grader, refills=0, cut=cut).of_update(0, answering({}, ended=False))
    assert batch.rewards == [reward] * 6


def test_never_solved_are_those_of_which_every_group_failed() -> None:
    groups = [Group(0, i, name, right, graded, 4, 9) for i, (name, right, graded) in enumerate(
        [("a", 0, 4), ("b", 0, 4), ("a", 1, 4), ("c", 0, 0), ("b", 0, 3), ("d", 4, 4)]
    )]  # fmt: skip
    assert never_solved(groups) == ["b"]
    assert [group.live for group in groups] == [False, False, True, False, False, False]


def test_a_resumed_log_forgets_what_is_repeated(tmp_path: Path) -> None:
    log = GroupLog(tmp_path / "groups.jsonl", before=0)
    log.append(Group(update, update, "a", 1, 2, 2, 5) for update in range(4))
    with (tmp_path / "groups.jsonl").open("a") as file:
        file.write('{"update": 4, "num')  # torn by a crash
    again = GroupLog(tmp_path / "groups.jsonl", before=2)
    assert [group.update for group in again.groups] == [0, 1]
    assert read_groups(tmp_path / "groups.jsonl") == again.groups


SETTINGS = {"updates": 5, "prompts": 4, "samples": 4, "micro_rows": 8, "max_tokens": 32, "learning_rate": 1e-4,
            "save_every": 1, "kl_every": 2}  # fmt: skip


def weights(folder: str) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in load_model(folder).model.state_dict().items()}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rl") / "problems.jsonl"
    write_records(file, [item.problem for item in items("countdown3", 12, seed=21, held=False)])
    return file


WORKER = """
import sys
from titer import verbs
from titer.recipe import Rl

verbs.rl("lab", sys.argv[1], out=sys.argv[2], settings=Rl.model_validate_json(sys.argv[3]), seed=4)
"""


def test_killed_and_resumed_it_ends_with_the_same_weights(problems: Path, tmp_path: Path) -> None:
    settings = Rl(**SETTINGS)
    whole = verbs.rl("lab", problems, out=tmp_path / "whole", settings=settings, seed=4)
    cut = tmp_path / "cut"
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(problems), str(cut), settings.model_dump_json()], env=environment
    )
    while not (cut / "state" / "checkpoint-2" / "trainer_state.json").exists():
        assert worker.poll() is None
        time.sleep(0.05)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert not (cut / "result.json").exists()
    resumed = verbs.rl("lab", problems, out=cut, settings=settings, seed=4)
    assert (resumed.updates, resumed.never_solved) == (5, whole.never_solved)
    assert [group._replace(tokens=0) for group in read_groups(cut / "groups.jsonl")] == [
        group._replace(tokens=0) for group in read_groups(tmp_path / "whole" / "groups.jsonl")
    ]
    assert [row["step"] for row in read_log(cut / "log.jsonl")] == [1, 2, 3, 4, 5]
    ours, theirs = weights(resumed.checkpoint), weights(whole.checkpoint)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    base = weights("lab")
    assert any(not torch.allclose(ours[name], base[name], atol=1e-5) for name in ours)
    # a finished training is not done again, and another one is refused
    assert verbs.rl("lab", problems, out=cut, settings=settings, seed=4) == resumed
    with pytest.raises(InputError, match="another training stands here.*samples differ"):
        verbs.rl("lab", problems, out=cut, settings=Rl(**{**SETTINGS, "samples": 2}), seed=4)


def test_the_log_has_what_one_looks_at(problems: Path, tmp_path: Path) -> None:
    verbs.rl("lab", problems, out=tmp_path, settings=Rl(**{**SETTINGS, "updates": 3}))
    rows = read_log(tmp_path / "log.jsonl")
    wanted = {"reward", "entropy", "tokens", "cut", "dead_groups", "failed_groups", "refilled", "ungraded", "grad_norm"}
    assert all(wanted <= set(row) for row in rows)
    assert [("kl" in row) for row in rows] == [True, False, True]
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6) and rows[2]["kl"] > 1e-5
    assert 0 < rows[0]["entropy"] < 2 and 10 < rows[0]["tokens"] <= 32


def test_adapters_on_adapters(problems: Path, tmp_path: Path) -> None:
    settings = Rl(**{**SETTINGS, "updates": 1, "learning_rate": 1e-2, "lora": Lora(rank=2)})
    first = verbs.rl("lab", problems, out=tmp_path / "1", settings=settings)
    assert (Path(first.checkpoint) / "adapter_config.json").exists()
    second = verbs.rl(first.checkpoint, problems, out=tmp_path / "2", settings=settings, seed=1)
    base, one, two = weights("lab"), weights(first.checkpoint), weights(second.checkpoint)
    name = next(name for name in base if not torch.equal(base[name], one[name]))
    assert not torch.equal(one[name], two[name])
    # the second stands on the first, not on the base: what it adds has its own rank
    assert [int(torch.linalg.matrix_rank(two[name] - from_[name], rtol=1e-3)) for from_ in (one, base)] == [2, 4]


@pytest.mark.parametrize("answer", ["solved", "unsolved"])
def test_with_nothing_to_learn_it_stops_and_says_so(answer: str, tmp_path: Path) -> None:
    prompt = "Repeat apple, ball and cat."
    gold = "apple, ball, cat" if answer == "solved" else "never said"
    write_records(tmp_path / "p.jsonl", [Problem(id="p", prompt=prompt, answer=gold, verifier="exact")])
    settings = Rl(**{**SETTINGS, "updates": 9, "patience": 2, "temperature": 0.05, "prompts": 1, "micro_rows": 4})
    result = verbs.rl("lab", tmp_path / "p.jsonl", out=tmp_path / "out", settings=settings)
    assert result.updates == 2 and result.dead_groups == 1.0
    # each update draws one more in place of the dead one
    assert ("4 were all right, 0 all" if answer == "solved" else "4 all wrong, 0 could") in result.stopped
    assert result.never_solved == ([] if answer == "solved" else ["p"])
    assert (result.last_reward == 1.0) == (answer == "solved")


def test_transformers_own_generation_serves_too(problems: Path, tmp_path: Path) -> None:
    settings = Rl(**{**SETTINGS, "updates": 1, "generator": "transformers"})
    result = verbs.rl("lab", problems, out=tmp_path, settings=settings)
    (row,) = read_log(tmp_path / "log.jsonl")
    assert result.updates == 1 and 0 < row["reward"] < 1 and 10 < row["tokens"] <= 32
    assert sum(group.drawn for group in read_groups(tmp_path / "groups.jsonl")) >= 16


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="must divide"):
        Rl(prompts=3, samples=5, micro_rows=7)
    assert json.loads(Rl(prompts=3, samples=5, micro_rows=5).model_dump_json())["micro_rows"] == 5


def test_killed_after_it_had_stopped_it_learns_nothing_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Patience is counted from what was drawn, so that a resumed training ends where an uninterrupted one does."""
    write_records(tmp_path / "p.jsonl", [Problem(id="p", prompt="Say x.", answer="never said", verifier="exact")])
    changed = {"updates": 9, "patience": 2, "prompts": 1, "micro_rows": 4, "save_every": 1, "kl_every": 0}
    settings = Rl(**{**SETTINGS, **changed})
    grpo_module = sys.modules["titer.stages.rl.grpo"]  # the package has a function of that name
    real = grpo_module._save

    def dying(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grpo_module, "_save", dying)
    with pytest.raises(KeyboardInterrupt):
        verbs.rl("lab", tmp_path / "p.jsonl", out=tmp_path / "out", settings=settings)
    monkeypatch.setattr(grpo_module, "_save", real)
    result = verbs.rl("lab", tmp_path / "p.jsonl", out=tmp_path / "out", settings=settings)
    assert result.updates == 2 and "all wrong" in result.stopped
    assert {group.update for group in read_groups(tmp_path / "out" / "groups.jsonl")} == {0, 1}


def test_updates_without_anything_to_learn_are_counted_from_the_last_live_group() -> None:
    def group(update: int, correct: int) -> Group:
        return Group(update, update, "p", correct, 4, 4, 9)

    assert barren([]) == 0
    assert barren([group(0, 0), group(1, 0)]) == 2
    assert barren([group(0, 0), group(1, 2), group(2, 4)]) == 1
    assert barren([group(0, 2), group(0, 0)]) == 0


def test_several_processes_are_refused(problems: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="2 processes for RL, which works in one"):
        verbs.rl("lab", problems, out=tmp_path, settings=Rl(**SETTINGS))


@pytest.mark.parametrize("kind", ["plain", "adapters"])
def test_a_kl_penalty_finds_its_reference(kind: str, problems: Path, tmp_path: Path) -> None:
    model = "lab"
    if kind == "adapters":
        loaded = load_model("lab")
        model = str(tmp_path / "adapters")
        add_lora(loaded.model, Lora(rank=2)).save_pretrained(model)
        loaded.tokenizer.save_pretrained(model)
    settings = Rl(**{**SETTINGS, "updates": 1, "beta": 0.1})
    done = verbs.rl(model, problems, out=tmp_path / "rl", settings=settings)
    before, after = weights(model), weights(done.checkpoint)
    assert not all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((Path(done.checkpoint) / "config.json").read_text()).get("_name_or_path", model) == model
