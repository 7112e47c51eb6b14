"""The process that vLLM runs in: what goes over, what comes back, and what happens when it dies. vLLM itself is tested
in tests/with_vllm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_models import CONTEXT, tiny_tokenizer

from titer.errors import InputError
from titer.generate import Completion, Request, Sampling
from titer.generate.workers.ray_engine import RayGenerator
from titer.generate.workers.vllm_engine import VllmGenerator
from titer.models import describe_model
from titer.pipeline.sampling import make_generator
from titer.recipe import Generate

Make = Callable[..., VllmGenerator]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).with_name("fake_vllm")))

    def generator(python: str = sys.executable, **engine: Any) -> VllmGenerator:
        tokenizer = tiny_tokenizer()
        weights = SimpleNamespace(path="folder")
        return VllmGenerator(
            weights, tokenizer, context=CONTEXT, eos_ids=[1, 2], python=python, engine=engine, name="tiny"
        )

    return generator


def drawn(generator: VllmGenerator, count: int = 3, **sampling: Any) -> list[Completion]:
    requests = [Request(f"r{i}", f"w{i}", n=2, prefix=f"w{i + 1}") for i in range(count)]
    return list(generator.stream(requests, Sampling(**{"max_tokens": 8, **sampling})))


def test_tokens_go_over_and_come_back(make: Make) -> None:
    found = drawn(make())
    assert [(one.request_id, one.sample) for one in found] == [(f"r{i}", s) for i in range(3) for s in range(2)]
    assert [one.text for one in found[::2]] == ["w1", "w2", "w3"]  # each prompt's last token
    assert {(one.tokens, one.finish_reason) for one in found} == {(2, "stop")}
    assert {one.finish_reason for one in drawn(make(), max_tokens=1)} == {"length"}


def test_it_dies_twice_and_nothing_is_lost(make: Make, tmp_path: Path) -> None:
    (tmp_path / "deaths").write_text("2")
    assert drawn(make(deaths=str(tmp_path / "deaths"))) == drawn(make())


def test_it_dies_in_the_middle_of_what_it_tells_and_nothing_is_lost(make: Make, tmp_path: Path) -> None:
    (tmp_path / "deaths").write_text("1")
    told = 3  # the worker's copy of stdout, the first descriptor it opens
    assert drawn(make(deaths=str(tmp_path / "deaths"), torn=told)) == drawn(make())
    assert (tmp_path / "deaths").read_text() == "0"


def test_what_fails_again_and_again_says_so(make: Make, tmp_path: Path) -> None:
    (tmp_path / "deaths").write_text("99")
    found = drawn(make(deaths=str(tmp_path / "deaths")))
    assert len(found) == 6 and {one.finish_reason for one in found} == {"error"}
    assert found[0].note == "vLLM's process ended: out of memory"


def test_a_prompt_that_vllm_refuses_costs_itself_alone(make: Make) -> None:
    """As where its context is shorter than it was told to be."""
    generator = make(max_model_len=12)
    asked = [Request(f"r{i}", "w7" if i not in (2, 5) else "w7 " * 20, n=2) for i in range(7)]
    found = {(one.request_id, one.sample): one for one in generator.stream(asked, Sampling(max_tokens=8))}
    assert {key for key, one in found.items() if one.finish_reason == "error"} == {
        (f"r{i}", sample) for i in (2, 5) for sample in range(2)
    }
    assert found["r2", 0].note == "vLLM refuses it: The prompt is longer than the maximum model length of 12"
    assert len(found) == 14 and {one.text for one in found.values() if one.finish_reason == "stop"} == {"<assistant>"}


def test_the_context_is_what_vllm_is_told_to_keep_to() -> None:
    """What it is not told as a number of tokens is the model's own."""
    for told, context in ((300, 300), (10**9, None), (-1, None), ("auto", None)):
        generator = make_generator("lab", Generate(engine="vllm", vllm={"max_model_len": told}), name="lab")
        own = describe_model("lab").config.max_position_embeddings
        assert generator._context == (context or own)  # type: ignore[attr-defined]


def test_settings_out_of_range_are_refused_at_the_call(make: Make) -> None:
    for generator in (make(), RayGenerator(make, name="r")):
        with pytest.raises(InputError, match="max_tokens"):
            generator.stream([], Sampling(max_tokens=0))


def test_one_process_serves_many_streams(make: Make, tmp_path: Path) -> None:
    generator = make()
    drawn(generator)
    process = generator._worker._process  # type: ignore[union-attr]
    drawn(generator)
    assert generator._worker._process is process  # type: ignore[union-attr]
    generator.close()
    assert process.poll() == 0


def test_refusals_name_what_to_do(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="cannot load folder: see above .ValueError: tensors of another shape"):
        drawn(make(unknown=True))
    with pytest.raises(InputError, match=r"no-python cannot be run.*name a python"):
        drawn(make(python="no-python"))
    with pytest.raises(InputError, match="and the context of tiny is 128"):
        list(make().stream([Request("long", "w1 " * 200)], Sampling()))
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(InputError, match=r"no vLLM in .*pip install vllm there"):
        drawn(make())
