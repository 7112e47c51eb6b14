"""The server client against a real server: `transformers serve` with a tiny model, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from server_process import server_process
from tiny_models import chain_model, random_models, tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from titer.errors import InputError
from titer.generate import Completion, Request, Sampling, ServerGenerator, TransformersGenerator


class Served(NamedTuple):
    """A running server and the directories of the models that it can load."""

    url: str
    random: Path
    chain: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("models")
    chain = chain_model("<think>", "w4", "</think>", "w5", "w41", "w6", "<eos>")
    for name, model in {"random": random_models()["llama"], "chain": chain}.items():
        model.generation_config.do_sample = True  # without it this server is greedy at every temperature
        model.save_pretrained(folder / name)
        tiny_tokenizer().save_pretrained(folder / name)
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--device", "cpu"]
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    with server_process(command, environment, log=folder / "server.log") as url:
        yield Served(url, folder / "random", folder / "chain")


def test_greedy_is_what_the_engine_draws(served: Served) -> None:
    asked = [Request(str(i), f"w{i} w{2 * i} w{3 * i}") for i in range(8)]
    sampling = Sampling(temperature=0, max_tokens=40)
    remote = ServerGenerator(served.url, str(served.random), concurrency=2).stream(asked, sampling)
    model = AutoModelForCausalLM.from_pretrained(served.random, dtype=torch.float32)
    engine = TransformersGenerator(model, AutoTokenizer.from_pretrained(served.random))
    local = {done.request_id: done for done in engine.stream(asked, sampling)}
    reasons = set()
    for done in remote:
        # The server leaves out the special tokens that the random model writes.
        words = [word for word in local[done.request_id].text.split(" ") if word not in ("<user>", "<assistant>")]
        assert done.text.split() == " ".join(words).split()
        assert done.tokens == local[done.request_id].tokens
        assert done.finish_reason == local[done.request_id].finish_reason
        reasons.add(done.finish_reason)
    assert reasons == {"stop", "length"}


def test_thinking_and_stop_strings(served: Served) -> None:
    generator = ServerGenerator(served.url, str(served.chain))
    (whole,) = generator.stream([Request("a", "w1")], Sampling())
    assert whole == Completion(
        "a", 0, "<think> w4 </think> w5 w41 w6", "w4", "w5 w41 w6", "stop", 7
    )  # the end of turn is counted
    (stopped,) = generator.stream([Request("a", "w1")], Sampling(stop=("w4",)))
    assert (stopped.text, stopped.response, stopped.finish_reason) == ("<think> w4 </think> w5 ", "w5", "stop")


def test_samples_differ_and_come_again(served: Served) -> None:
    # One call at a time: this server seeds a generator that all its calls share.
    generator = ServerGenerator(served.url, str(served.random), concurrency=1)
    first, again = (
        {done.sample: done.text for done in generator.stream([Request("a", "w1", n=4)], Sampling(max_tokens=12))}
        for _ in range(2)
    )
    assert first == again
    assert len(set(first.values())) > 1


def test_a_refusal_in_the_servers_own_words(served: Served) -> None:
    generator = ServerGenerator(served.url, str(served.random))
    with pytest.raises(InputError, match=r"status 422: Unexpected fields in the request: \{'top_k'\}"):
        list(generator.stream([Request("a", "w1")], Sampling(top_k=5)))
