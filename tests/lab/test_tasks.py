from __future__ import annotations

import random

import pytest

from titer.errors import InputError
from titer.lab import make, make_gym, make_lab
from titer.lab.arithmetic import combine, derive, expression, reachable
from titer.lab.build import MIXTURE, documents
from titer.lab.tasks import TASKS, held_out, items
from titer.lab.teachers import TEACHERS, explain
from titer.lab.words import make_tokenizer
from titer.recipe import GymData, LabData
from titer.records import find_overlap, read_problems, read_traces, split_thinking
from titer.traces import cue_share
from titer.verify import check

TOKENIZER = make_tokenizer()


def survives(text: str) -> bool:
    ids = TOKENIZER(text)["input_ids"]
    return TOKENIZER.unk_token_id not in ids and TOKENIZER.decode(ids) == text


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_solved_by_its_own_solution(task: str) -> None:
    for item in items(task, 100, seed=1, held=False):
        assert check(item.problem, item.solution).score == 1.0, item
        assert survives(item.problem.prompt) and survives(item.solution), item


@pytest.mark.parametrize("task", TASKS)
def test_a_wrong_answer_is_wrong(task: str) -> None:
    one, other = items(task, 2, seed=1, held=False)
    wrong = other.solution if task != "guarded" else one.solution
    problem = (
        one.problem
        if task != "guarded"
        else next(
            item.problem for item in items(task, 50, seed=1, held=False) if item.problem.answer != one.problem.answer
        )
    )
    assert check(problem, wrong).score == 0.0


def test_four_axes() -> None:
    assert {task.axis for task in TASKS.values()} == {"in_domain", "out_of_domain", "general", "safety"}


def test_held_out_problems_are_never_trained_on() -> None:
    training = items("countdown3", 400, seed=1, held=False)
    evaluation = items("countdown3", 100, seed=1, held=True)
    keys = {(tuple(sorted(i.problem.meta["numbers"])), i.problem.answer) for i in training}
    assert not keys & {(tuple(sorted(i.problem.meta["numbers"])), i.problem.answer) for i in evaluation}
    assert not any(held_out(document_problem.problem) for document_problem in training)


def test_items_are_reproducible_and_differ_by_seed() -> None:
    assert items("subset", 5, seed=1, held=True) == items("subset", 5, seed=1, held=True)
    assert items("subset", 5, seed=1, held=True) != items("subset", 5, seed=2, held=True)


def test_derivations_reach_what_they_say() -> None:
    rng = random.Random(0)
    for _ in range(200):
        numbers = [rng.randint(1, 20) for _ in range(4)]
        steps = derive(rng, numbers)
        assert reachable(numbers, steps[-1].result)
        assert expression(steps).replace("(", "").replace(")", "").split()[::2]
    assert not reachable([2, 2, 2], 7)


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("task", ["countdown3", "countdown4", "ordered"])
def test_traces_verify_and_are_within_the_vocabulary(teacher: str, task: str) -> None:
    for item in items(task, 60, seed=2, held=False):
        trace = explain(item, teacher=teacher, seed=0)
        assert check(item.problem, trace.response).score == 1.0
        assert survives(trace.reasoning) and survives(trace.response)


def test_divergent_branches_and_convergent_does_not() -> None:
    found = items("countdown3", 200, seed=2, held=False)
    straight = [explain(item, teacher="convergent", seed=0) for item in found]
    shares = {}
    for rate in (0.2, 0.6):
        traces = [explain(item, teacher="divergent", seed=0, branch_rate=rate) for item in found]
        shares[rate] = sum("Wait" in t.reasoning or "Hmm" in t.reasoning for t in traces) / len(traces)
        assert sum(len(t.reasoning) for t in traces) > 1.2 * sum(len(t.reasoning) for t in straight)
    assert not any(cue_share(trace.reasoning) for trace in straight)
    assert 0 < shares[0.2] <= shares[0.6]


def test_abandoned_branches_really_miss_the_target() -> None:
    for item in items("countdown3", 100, seed=4, held=False):
        trace = explain(item, teacher="divergent", seed=1, branch_rate=0.7)
        for step in trace.reasoning.split("\n\n"):
            if f"not {item.problem.answer}." in step:
                assert f"= {item.problem.answer}," not in step


def test_pre_training_holds_no_held_out_problem_and_no_thinking_on_countdown() -> None:
    made = documents(600, seed=5, careless=0.3)
    assert sum(MIXTURE.values()) == pytest.approx(1.0)
    for document in made:
        assert survives(document.prompt) and survives(document.response)
        if document.prompt.startswith("Use"):
            assert split_thinking(document.response).reasoning == ""
    evaluation = [item.problem for task in TASKS for item in items(task, 50, seed=0, held=True)]
    assert find_overlap(made, evaluation) == []


def test_most_careless_documents_miss_the_target_and_all_calculate_right() -> None:
    careful, careless = (documents(300, seed=5, careless=share) for share in (0.0, 1.0))
    countdowns = [d for d in careless if d.prompt.startswith("Use")]
    missed = [d for d in countdowns if f"= {d.prompt.split()[-1].rstrip('.')}\n" not in d.response]
    assert 0.8 * len(countdowns) < len(missed) < len(countdowns)
    for document in missed:
        for line in document.response.splitlines()[:-1]:
            left, operator, right, _, result = line.split()
            assert combine(int(left), operator, int(right)).result == int(result)
    solved = [d for d in careful if d.prompt.startswith("Use")]
    assert all(f"= {d.prompt.split()[-1].rstrip('.')}\n" in d.response for d in solved)


def test_make_writes_files_that_the_readers_take(tmp_path) -> None:
    files = make(tmp_path, problems=8, evaluation=3, seed=0)
    problems = {problem.id for problem in read_problems(tmp_path / "problems.jsonl")}
    traces = list(read_traces(tmp_path / "traces.jsonl"))
    assert len(problems) == 8 and len(traces) == 16
    assert {trace.problem_id for trace in traces} == problems
    assert len(files) == 2 + len(TASKS)


def test_unknown_lab_task() -> None:
    with pytest.raises(InputError, match="no lab task 'countdown9'"):
        make_lab(LabData(problems={"countdown9": 1}), seed=0)


def test_gym_suites_share_no_question_with_the_training_problems() -> None:
    config = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    made = make_gym(GymData(tasks={"chain_sum": config}, problems=40, suites={"chain_sum": config}, evaluation=20), 0)
    evaluation = made.suites["chain_sum"]
    assert evaluation.axis == "in_domain" and len(evaluation.problems) == 20 and len(made.problems) == 40
    assert find_overlap(made.problems, evaluation.problems) == []
    for problem, trace in zip(made.problems, made.traces, strict=True):
        assert check(problem, trace.response).score == 1.0


def test_sums_of_signed_numbers_are_worked_out() -> None:
    made = make_gym(GymData(tasks={"chain_sum": {"allow_negation": True}}, problems=40, evaluation=1), 0)
    assert any(problem.meta["entry"]["metadata"]["expression"].startswith("-") for problem in made.problems)
    for problem, trace in zip(made.problems, made.traces, strict=True):
        assert check(problem, trace.response).score == 1.0


def test_gym_refuses_more_problems_than_there_are() -> None:
    config = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    with pytest.raises(InputError, match="different problems"):
        make_gym(GymData(tasks={"chain_sum": config}, problems=400), 0)
    with pytest.raises(InputError, match="no traces can be made"):
        make_gym(GymData(tasks={"gcd": {}}, problems=3), 0)


def test_more_items_than_there_are_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titer.lab.tasks.DRAWS", 300)
    with pytest.raises(InputError, match=r"layout has no more than [\d,]+ different problems held out; ask for fewer"):
        items("layout", 100_000, seed=0, held=True)


def test_a_task_that_no_teacher_explains_is_no_training_problem() -> None:
    with pytest.raises(InputError, match=r"field 'data.lab.problems': no teacher explains 'sort'"):
        make_lab(LabData(problems={"sort": 4}), seed=0)


def test_what_is_rehearsed_is_trained_on_nowhere_else() -> None:
    settings = LabData(problems={"countdown3": 750}, rehearsal={"countdown3": 300}, suites={})
    made = make_lab(settings, seed=0)
    known = {problem.id for problem in made.problems}
    assert len(made.rehearsal) == 300 and not known & {trace.problem_id for trace in made.rehearsal}
