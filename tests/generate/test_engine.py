"""The in-process generator against transformers itself, and against its own promises."""

from __future__ import annotations

import gc
import random
import statistics
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, islice

import pytest
import torch
from tiny_models import CONTEXT, WORDS, chain_model, random_models, tiny_tokenizer, token_ids
from transformers import DynamicCache, Lfm2Config, Lfm2ForCausalLM, PreTrainedModel

from titer.errors import InputError
from titer.generate import Completion, Request, Sampling, TransformersGenerator, transformers_engine
from titer.generate.draw import draw
from titer.generate.streams import stream_key, uniforms

MODELS = random_models()
TOKENIZER = tiny_tokenizer()
ENDS = (1, 2)  # <eos> and <eot>: the tokenizer's own and one of the generation config's


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return MODELS[request.param]


class Watch:
    """What went through a model: rows of every prefill and of every step, and how many positions had logits."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.prefills: list[int] = []
        self.steps: list[int] = []
        self.positions: set[int] = set()
        self._hook = model.register_forward_hook(self._see, with_kwargs=True)

    def _see(self, _: object, args: object, kwargs: dict[str, torch.Tensor], output: object) -> None:
        rows, columns = kwargs["input_ids"].shape
        (self.prefills if columns > 1 else self.steps).append(rows)
        self.positions.add(output.logits.shape[1])

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def prompts(number: int, longest: int = 40) -> list[str]:
    rng = random.Random(number)
    return [" ".join(f"w{rng.randrange(55)}" for _ in range(rng.randint(1, longest))) for _ in range(number)]


def requests(number: int, n: int = 1) -> list[Request]:
    return [Request(str(i), prompt, n) for i, prompt in enumerate(prompts(number))]


def rendered(prompt: str) -> list[int]:
    return token_ids(f"<user> {prompt} <assistant>")


def run(
    model: PreTrainedModel, asked: Sequence[Request], sampling: Sampling, batch_size: int | None = None
) -> dict[tuple[str, int], Completion]:
    stream = TransformersGenerator(model, TOKENIZER, batch_size=batch_size).stream(asked, sampling)
    return {(done.request_id, done.sample): done for done in stream}


def bare(completion: Completion) -> Completion:
    """Without its token ids, which must be as many as it says."""
    assert len(completion.ids) == completion.tokens
    return completion._replace(ids=())


def drawn(completion: Completion) -> list[int]:
    """Token ids of a completion, without the end of turn."""
    return token_ids(completion.text) if completion.text else []


@pytest.mark.parametrize("batch_size", [1, 5, None])
def test_greedy_is_what_generate_gives_prompt_by_prompt(model: PreTrainedModel, batch_size: int | None) -> None:
    asked = requests(12)
    done = run(model, asked, Sampling(temperature=0, max_tokens=30), batch_size)
    assert len(done) == len(asked)
    for request in asked:
        ids = torch.tensor([rendered(request.prompt)])
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30, pad_token_id=0
        )
        expected = output[0, ids.shape[1] :].tolist()
        completion = done[request.id, 0]
        ended = expected[-1] in ENDS
        assert drawn(completion) == (expected[:-1] if ended else expected)
        assert completion.tokens == len(expected)
        assert completion.finish_reason == ("stop" if ended else "length")


def test_samples_are_those_of_one_uncached_pass(model: PreTrainedModel) -> None:
    sampling = Sampling(temperature=1.0, top_p=0.9, max_tokens=40, seed=7)
    asked = requests(9, n=2)
    done = run(model, asked, sampling, batch_size=4)
    assert len({completion.text for completion in done.values()}) > 12
    for (request_id, sample), completion in done.items():
        prompt, ids = rendered(asked[int(request_id)].prompt), drawn(completion)
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 :]
        numbers = torch.from_numpy(uniforms(stream_key(7, request_id, sample), len(logits)))
        expected = draw(logits, numbers, sampling).tolist()
        assert expected[: len(ids)] == ids
        if completion.finish_reason == "stop":
            assert expected[len(ids)] in ENDS


def test_the_samples_of_a_request_share_one_prefill() -> None:
    model = MODELS["llama"]
    asked = [*requests(5, n=7), Request("wide", "w1 w2", n=20)]
    with Watch(model) as watch:
        done = run(model, asked, Sampling(temperature=1, max_tokens=20), batch_size=4)
    assert len(done) == 55
    assert sum(watch.prefills) == len(asked)
    assert watch.positions == {1}


def test_a_prefill_is_kept_no_longer_than_it_is_needed() -> None:
    def cached_bytes() -> int:
        caches = [thing for thing in gc.get_objects() if type(thing) is DynamicCache]
        return sum(layer.keys.nbytes for cache in caches for layer in cache.layers)

    model = chain_model("w1", "w2", "w3", "<eos>")
    stream = TransformersGenerator(model, TOKENIZER, batch_size=4).stream(requests(3, n=6), Sampling())
    held = [cached_bytes() > 0 for _ in stream]
    # 4 samples at a time, 6 per request: after the third and the fifth time no request is half seated.
    assert held == [True] * 8 + [False] * 4 + [True] * 4 + [False] * 2


def test_finished_rows_leave_at_once_and_others_take_their_places() -> None:
    model = MODELS["llama"]
    with Watch(model) as watch:
        done = run(model, requests(40), Sampling(temperature=1, max_tokens=40), batch_size=8)
    lengths = [completion.tokens for completion in done.values()]
    assert max(lengths) > 4 * min(lengths)
    # The first token comes out of the prefill; every other one costs one row of one step, and no row runs idle.
    assert sum(watch.steps) == sum(length - 1 for length in lengths)
    assert max(watch.steps) == 8
    while_others_wait = watch.steps[: len(watch.steps) // 2]
    assert statistics.mean(while_others_wait) > 0.75 * 8


def test_a_sample_does_not_depend_on_the_batch(model: PreTrainedModel) -> None:
    sampling = Sampling(temperature=1, max_tokens=30)
    asked = requests(12, n=3)
    together = run(model, asked, sampling)
    assert run(model, asked[::-1], sampling, batch_size=5) == together
    assert run(model, [asked[4]], sampling) == {key: done for key, done in together.items() if key[0] == "4"}


def test_later_samples_can_be_asked_for_later() -> None:
    model, sampling = MODELS["llama"], Sampling(temperature=1, max_tokens=30)
    whole = run(model, [Request("a", "w1", n=6)], sampling)
    rest = run(model, [Request("a", "w1", n=2, first=4)], sampling)
    assert rest == {key: whole[key] for key in (("a", 4), ("a", 5))}


def test_samples_follow_the_models_distribution() -> None:
    model = chain_model(("w1", "w2", "w3", "w4"), "<eos>")
    done = run(model, [Request(str(i), "w9", n=100) for i in range(40)], Sampling(temperature=1, top_p=1))
    counts = Counter(completion.text for completion in done.values())
    assert set(counts) == {"w1", "w2", "w3", "w4"}
    # 1000 each, standard deviation 27.
    assert all(abs(times - 1000) < 140 for times in counts.values())


def test_another_seed_gives_other_samples() -> None:
    samplings = [Sampling(temperature=1, seed=seed, max_tokens=40) for seed in (0, 1)]
    texts = [{done.text for done in run(MODELS["qwen3"], requests(6), sampling).values()} for sampling in samplings]
    assert min(map(len, texts)) > 4
    assert texts[0] & texts[1] <= {""}


@pytest.mark.parametrize("end", ["<eos>", "<eot>"])
def test_every_end_of_turn_ends_a_completion(end: str) -> None:
    model = chain_model("<think>", "w1", "</think>", "w2", end)
    model.generation_config.eos_token_id = WORDS.index("<eot>")  # the tokenizer's own is <eos>
    (done,) = run(model, [Request("a", "w3")], Sampling()).values()
    assert bare(done) == Completion("a", 0, "<think> w1 </think> w2", "w1", "w2", "stop", 5)
    assert [WORDS[token] for token in done.ids] == ["<think>", "w1", "</think>", "w2", end]


def test_the_templates_own_end_ends_a_completion() -> None:
    """A base model's end of text is another token than the one with which its chat template ends a turn."""
    model = chain_model("w2", "<eot>", "w3", "w4")
    model.generation_config.eos_token_id = WORDS.index("<eos>")
    template = "{% for m in messages %}<{{ m.role }}> {{ m.content }} <eot> {% endfor %}<assistant>"
    (done,) = TransformersGenerator(model, tiny_tokenizer(template)).stream([Request("a", "w3")], Sampling())
    assert bare(done) == Completion("a", 0, "w2", "", "w2", "stop", 2)


def test_a_completion_that_only_ends_is_empty() -> None:
    done = run(chain_model("<eos>"), [Request("a", "w3")], Sampling())["a", 0]
    assert bare(done) == Completion("a", 0, "", "", "", "stop", 1)


def test_max_tokens_cuts_with_reason_length() -> None:
    model = chain_model("<think>", "w1", "w2", "</think>", "w3", "<eos>")
    done = run(model, [Request("a", "w3")], Sampling(max_tokens=3))["a", 0]
    assert bare(done) == Completion("a", 0, "<think> w1 w2", "w1 w2", "", "length", 3)


def test_the_context_cuts_with_reason_length() -> None:
    long = " ".join(["w1"] * (CONTEXT - 2 - 4))
    model = chain_model(*(f"w{i}" for i in range(1, 9)))
    done = run(model, [Request("long", long), Request("short", "w1")], Sampling(max_tokens=6))
    assert (done["long", 0].tokens, done["long", 0].finish_reason) == (4, "length")
    assert done["short", 0].tokens == 6


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_prompt_as_long_as_the_context_is_refused(batch_size: int) -> None:
    asked = [Request("fits", "w1"), Request("over", " ".join(["w1"] * (CONTEXT - 2)))]
    with pytest.raises(InputError, match=f"'over' has {CONTEXT} tokens"):
        run(MODELS["llama"], asked, Sampling(max_tokens=4), batch_size)


def test_a_prompt_without_tokens_is_refused() -> None:
    generator = TransformersGenerator(MODELS["llama"], tiny_tokenizer(template=None))
    with pytest.raises(InputError, match="no tokens"):
        list(generator.stream([Request("a", "")], Sampling()))


def test_stop_strings_wait_for_the_response() -> None:
    model = chain_model("<think>", "w4", "</think>", "w5", "w41", "w6", "<eos>")
    done = run(model, requests(6), Sampling(stop=("w4", "w6")), batch_size=2)
    assert len(done) == 6
    for completion in done.values():
        assert completion.text == "<think> w4 </think> w5 "
        assert (completion.response, completion.finish_reason, completion.tokens) == ("w5", "stop", 5)


def test_a_thinking_that_the_template_opened_is_known() -> None:
    template = "{% for m in messages %}<user> {{ m.content }}{% endfor %} <assistant> <think>"
    model = chain_model("<think>", "w4", "</think>", "w5", "w41", "<eos>")
    generator = TransformersGenerator(model, tiny_tokenizer(template))
    (done,) = generator.stream([Request("a", "w1")], Sampling(stop=("w4",)))
    assert bare(done) == Completion("a", 0, "w4 </think> w5 ", "w4", "w5", "stop", 4)
    (cut,) = generator.stream([Request("a", "w1")], Sampling(max_tokens=1, stop=("w4",)))
    assert bare(cut) == Completion("a", 0, "w4", "w4", "", "length", 1)


def test_a_completion_goes_on_from_its_prefix(model: PreTrainedModel) -> None:
    sampling = Sampling(temperature=0, max_tokens=20)
    for name, whole in run(model, requests(6), sampling).items():
        words = whole.text.split(" ")
        prompt = requests(6)[int(name[0])].prompt
        for kept in range(1, len(words), 4):
            prefix = " ".join(words[:kept])
            ((_, rest),) = run(model, [Request("a", prompt, prefix=prefix)], sampling).items()
            assert rest.text.split(" ")[: len(words) - kept] == words[kept:]


def test_thinking_in_the_prefix_is_thinking_and_its_tag_is_opened_once() -> None:
    model = chain_model("<think>", "w4", "</think>", "w5", "<eos>")
    prefix, found = "<think> w3 w4", list[Completion]()
    for opened in ("", " <think>"):
        template = "{% for m in messages %}<user> {{ m.content }}{% endfor %} <assistant>" + opened
        generator = TransformersGenerator(model, tiny_tokenizer(template))
        found += generator.stream([Request("a", "w1", prefix=prefix)], Sampling())
    expected = Completion("a", 0, "</think> w5", "w3 w4", "w5", "stop", 3)
    assert [bare(one) for one in found] == [expected, expected]


def test_without_a_template_the_prompt_goes_in_as_it_is() -> None:
    model = chain_model("w5", "w6", "<eos>")
    generator = TransformersGenerator(model, tiny_tokenizer(template=None))
    (done,) = generator.stream([Request("a", "w1 <assistant>")], Sampling())
    assert done.text == "w5 w6"


def test_endless_requests_are_pulled_as_rows_become_free() -> None:
    pulled: list[int] = []

    def endless() -> Iterator[Request]:
        for i in count():
            pulled.append(i)
            yield Request(str(i), f"w{i % 55}")

    stream = TransformersGenerator(MODELS["llama"], TOKENIZER, batch_size=4).stream(endless(), Sampling())
    assert pulled == []
    assert len(list(islice(stream, 10))) == 10
    assert len(pulled) <= 14


def test_a_request_may_depend_on_what_was_yielded() -> None:
    seen: list[str] = []

    def chained() -> Iterator[Request]:
        yield Request("0", "w0")
        for i in range(1, 4):
            assert len(seen) == i
            yield Request(str(i), "w0")

    stream = TransformersGenerator(MODELS["llama"], TOKENIZER, batch_size=1).stream(chained(), Sampling())
    while done := next(stream, None):
        seen.append(done.request_id)
    assert seen == ["0", "1", "2", "3"]


def test_nothing_asked_nothing_answered() -> None:
    assert run(MODELS["llama"], [], Sampling()) == {}


def test_a_model_in_training_is_in_training_again_afterwards() -> None:
    model = chain_model("w1", "w2", "<eos>").train()
    stream = TransformersGenerator(model, TOKENIZER, batch_size=1).stream(requests(3), Sampling())
    next(stream)
    assert not model.training
    stream.close()
    assert model.training
    # The consumer's own tensors are ordinary ones between two completions.
    assert not torch.is_inference_mode_enabled()


def test_memory_bounds_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sampling = MODELS["llama"], Sampling(temperature=1, max_tokens=30)
    lengths = {key[0]: done.tokens for key, done in run(model, requests(40), sampling).items()}
    asked = [request for request in requests(40) if lengths[request.id] > 1][:20]  # those that take a step at all
    steps = {}
    for kilobytes in (10_000, 300, 1):
        monkeypatch.setattr(transformers_engine, "free_bytes", lambda _, free=kilobytes * 1000: free)
        with Watch(model) as watch:
            done = run(model, asked, sampling)
        assert len(done) == 20
        steps[kilobytes] = max(watch.steps)
    assert steps[10_000] == 20
    assert 1 < steps[300] < 10
    assert steps[1] == 1


def test_batch_size_must_be_positive() -> None:
    with pytest.raises(InputError, match="batch_size"):
        TransformersGenerator(MODELS["llama"], TOKENIZER, batch_size=0)


def test_a_model_with_other_memory_than_keys_and_values_is_refused() -> None:
    config = Lfm2Config(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, layer_types=["conv", "full_attention"], pad_token_id=0,
    )  # fmt: skip
    with pytest.raises(InputError, match="layers of type conv"):
        TransformersGenerator(Lfm2ForCausalLM(config), TOKENIZER)


def test_the_name_is_the_models_own_unless_given() -> None:
    assert TransformersGenerator(MODELS["llama"], TOKENIZER).name == "LlamaForCausalLM"
    assert TransformersGenerator(MODELS["llama"], TOKENIZER, name="base").name == "base"


def test_sampling_uses_no_argument_that_transformers_calls_outdated() -> None:
    model = next(iter(MODELS.values()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(TransformersGenerator(model, tiny_tokenizer()).stream([Request("a", "w1 w2")], Sampling(max_tokens=3)))
