"""The server client against a server that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

import pytest

from chat_server import Reply, chat, serving
from titer.errors import InputError
from titer.generate import Completion, Request, Sampling, ServerGenerator

FAILURE = Reply('{"error": {"message": "out of\\nmemory"}}', status=500)


def prompt_of(body: dict[str, Any]) -> str:
    return body["messages"][0]["content"]


def echo(body: dict[str, Any], _: int) -> Reply:
    return chat(prompt_of(body))


def one(reply: Reply, *stop: str) -> Completion:
    with serving(lambda *_: reply) as (url, _):
        (completion,) = ServerGenerator(url, "m").stream([Request("a", "x")], Sampling(stop=stop))
    return completion


def requests(number: int, n: int = 1) -> list[Request]:
    return [Request(f"p{i}", f"prompt {i}", n) for i in range(number)]


def test_every_sample_is_a_call_with_a_seed_of_its_own() -> None:
    with serving(echo) as (url, server):
        done = list(ServerGenerator(url, "m").stream(requests(3, n=4), Sampling()))
        first = {(prompt_of(body), body["seed"]) for body in server.bodies}
        list(ServerGenerator(url, "m").stream([Request("p1", "prompt 1", n=2, first=2)], Sampling()))
        again = {(prompt_of(body), body["seed"]) for body in server.bodies[12:]}
    assert {(c.request_id, c.sample) for c in done} == {(f"p{i}", sample) for i in range(3) for sample in range(4)}
    assert {c.text for c in done if c.request_id == "p1"} == {"prompt 1"}
    assert len({seed for _, seed in first}) == 12
    assert len(again) == 2
    assert again < first


def test_settings_go_out_as_they_are() -> None:
    with serving(echo) as (url, server):
        sampling = Sampling(temperature=0.3, top_p=0.8, top_k=20, max_tokens=99, stop=("END",))
        list(ServerGenerator(url, "m").stream([Request("a", "x")], sampling))
        list(ServerGenerator(url, "m").stream([Request("a", "x")], Sampling()))
    sent, plain = server.bodies
    assert {key: sent[key] for key in ("model", "temperature", "top_p", "top_k", "max_tokens")} == {
        "model": "m", "temperature": 0.3, "top_p": 0.8, "top_k": 20, "max_tokens": 99,
    }  # fmt: skip
    assert sent["messages"] == [{"role": "user", "content": "x"}]
    assert "top_k" not in plain


def test_a_prefix_is_the_beginning_of_the_answers_turn() -> None:
    with serving(lambda *_: chat("b</think>7 ## 8")) as (url, server):
        asked = [Request("a", "x", prefix="<think>a, ")]
        (completion,) = ServerGenerator(url, "m").stream(asked, Sampling(stop=("##",)))
    assert server.bodies[0]["messages"][1:] == [{"role": "assistant", "content": "<think>a, "}]
    assert server.bodies[0]["continue_final_message"] is True and server.bodies[0]["add_generation_prompt"] is False
    assert (completion.text, completion.reasoning, completion.response) == ("b</think>7 ", "a, b", "7")


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_call_is_repeated_until_it_succeeds(status: int) -> None:
    def answer(body: dict[str, Any], attempt: int) -> Reply:
        return chat("7") if attempt == 3 else FAILURE._replace(status=status)

    with serving(answer) as (url, server):
        (completion,) = ServerGenerator(url, "m", max_retries=2).stream([Request("a", "x")], Sampling())
    assert completion == Completion("a", 0, "7", "", "7", "stop", 5)
    assert len(server.bodies) == 3


def test_a_call_that_fails_for_good_costs_only_itself() -> None:
    def answer(body: dict[str, Any], _: int) -> Reply:
        return FAILURE if prompt_of(body) == "prompt 0" else echo(body, 0)

    with serving(answer) as (url, _):
        done = {c.request_id: c for c in ServerGenerator(url, "m", max_retries=1).stream(requests(8), Sampling())}
    assert done["p0"] == Completion("p0", 0, "", "", "", "error", 0, "status 500: out of memory")
    assert {c.finish_reason for c in done.values() if c.request_id != "p0"} == {"stop"}
    assert len(done) == 8


def test_an_answer_that_takes_too_long_is_an_error() -> None:
    released = threading.Event()

    def answer(body: dict[str, Any], _: int) -> Reply:
        if prompt_of(body) == "prompt 1":
            released.wait(30)
        return echo(body, 0)

    with serving(answer) as (url, _):
        stream = ServerGenerator(url, "m", max_retries=0, timeout=0.5).stream(requests(4), Sampling())
        done = {c.request_id: c for c in stream}
        released.set()
    assert {key for key, c in done.items() if c.finish_reason == "error"} == {"p1"}
    assert done["p1"].note == "the server did not answer in time"


@pytest.mark.parametrize(
    "reply",
    [
        Reply("{not json"),
        Reply("<html>busy</html>", content_type="text/html"),
        Reply("[]"),
        Reply('"text"'),
        Reply("null"),
        Reply("{}"),
        Reply('{"choices": []}'),
        Reply('{"choices": [{"index": 0}]}'),
        Reply('{"choices": 3}'),
        Reply('{"choices": [7]}'),
    ],
    ids=lambda reply: reply.body,
)
def test_an_answer_that_cannot_be_read_is_an_error(reply: Reply) -> None:
    completion = one(reply)
    assert (completion.text, completion.finish_reason, completion.tokens) == ("", "error", 0)
    assert completion.note.startswith("the answer")
    assert "\n" not in completion.note


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_that_the_server_split_off(key: str) -> None:
    completion = one(chat("7", **{key: "3 + 4"}))
    assert (completion.reasoning, completion.response) == ("3 + 4", "7")
    assert completion.text == "<think>\n3 + 4\n</think>\n\n7"


def test_half_a_surrogate_pair_does_not_come_through() -> None:
    completion = one(chat("7\ud800", reasoning="3 \udfff+ 4"))
    assert (completion.reasoning, completion.response) == ("3 ?+ 4", "7?")


def test_reasoning_inside_the_content() -> None:
    completion = one(chat("<think>3 + 4</think>7"))
    assert (completion.reasoning, completion.response, completion.text) == ("3 + 4", "7", "<think>3 + 4</think>7")


def test_a_thinking_that_was_cut_has_no_response() -> None:
    completion = one(chat(None, finish_reason="length", tokens=512, reasoning="3 + 4 is"))
    assert completion == Completion("a", 0, "<think>\n3 + 4 is", "3 + 4 is", "", "length", 512)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (chat("7 END 8 END", reasoning="not the END yet"), "<think>\nnot the END yet\n</think>\n\n7 "),
        (chat("<think>not the END yet</think>7 END 8"), "<think>not the END yet</think>7 "),
        (chat("7 END 8", finish_reason="length"), "7 "),
    ],
)
def test_stop_strings_are_applied_here_and_to_the_response(reply: Reply, text: str) -> None:
    completion = one(reply, "END")
    assert (completion.text, completion.response, completion.finish_reason) == (text, "7", "stop")


def test_stop_strings_are_never_sent() -> None:
    with serving(echo) as (url, server):
        list(ServerGenerator(url, "m").stream([Request("a", "x")], Sampling(stop=("END",))))
    assert "stop" not in server.bodies[0]


def test_another_ending_is_an_error_that_keeps_the_text() -> None:
    completion = one(chat("I can", finish_reason="content_filter"))
    assert (completion.text, completion.finish_reason, completion.tokens) == ("I can", "error", 5)
    assert completion.note == "the server ended it with 'content_filter'"


def test_a_missing_token_count_is_noted() -> None:
    body = json.loads(chat("7").body)
    del body["usage"]
    completion = one(Reply(json.dumps(body)))
    assert (completion.finish_reason, completion.tokens) == ("stop", 0)
    assert completion.note == "the server gives no token count"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@pytest.mark.parametrize("body", ['{"error": {"message": "no\\nway"}}', '{"detail": "no way"}', "no way"])
def test_a_refused_first_call_is_the_users_to_correct(status: int, body: str) -> None:
    with serving(lambda *_: Reply(body, status)) as (url, _), pytest.raises(InputError) as refused:
        list(ServerGenerator(url, "m", concurrency=1).stream(requests(3), Sampling()))
    assert f"status {status}: no way" in str(refused.value)
    assert "\n" not in str(refused.value)


def refuses(*numbers: int, status: int = 400) -> Callable[[dict[str, Any], int], Reply]:
    """A server for which these prompts are too long."""
    refused = {f"prompt {i}" for i in numbers}
    too_long = Reply('{"error": {"message": "too long"}}', status)
    return lambda body, _: too_long if body["messages"][-1]["content"] in refused else echo(body, 0)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_prompt_that_is_refused_is_an_error_of_its_own_wherever_it_stands(place: int, concurrency: int) -> None:
    with serving(refuses(place)) as (url, _):
        generator = ServerGenerator(url, "m", concurrency=concurrency)
        done = {c.request_id: c for c in generator.stream(requests(4), Sampling())}
    assert done.pop(f"p{place}").note == "status 400: too long"
    assert [c.finish_reason for c in done.values()] == ["stop"] * 3


def test_a_stream_of_nothing_but_refused_prompts_goes_on() -> None:
    """As a later call asks for them again; a plain question with the same settings says what it lies in, once."""
    with serving(refuses(0, 1, status=422)) as (url, server):
        generator = ServerGenerator(url, "m", concurrency=2)
        for _ in range(2):
            done = list(generator.stream(requests(2), Sampling(max_tokens=77)))
            assert [(c.finish_reason, c.note) for c in done] == [("error", "status 422: too long")] * 2
    (plain,) = [body for body in server.bodies if not prompt_of(body).startswith("prompt")]
    assert plain["max_tokens"] == 77 and len(server.bodies) == 5


def test_what_the_calls_have_in_common_is_the_users_to_correct() -> None:
    """A model whose template takes no system prompt; a server that takes no prefix."""

    def answer(body: dict[str, Any], _: int) -> Reply:
        odd = body["messages"][0]["role"] == "system" or "continue_final_message" in body
        return Reply('{"error": {"message": "no such turn"}}', 400) if odd else echo(body, 0)

    system = ({"role": "system", "content": "Be kind."},)
    with serving(answer) as (url, _):
        for odd in (Request("a", "x", earlier=system), Request("a", "x", prefix="So")):
            with pytest.raises(InputError, match="request .a. and a plain question .* status 400: no such turn"):
                list(ServerGenerator(url, "m").stream([odd], Sampling()))


def test_a_key_that_expires_later_loses_nothing() -> None:
    def answer(body: dict[str, Any], _: int) -> Reply:
        return echo(body, 0) if prompt_of(body) == "prompt 0" else Reply("{}", 401)

    with serving(answer) as (url, _):
        done = list(ServerGenerator(url, "m", concurrency=1).stream(requests(3), Sampling()))
    assert [c.finish_reason for c in done] == ["stop", "error", "error"]


def test_no_server_is_the_users_to_correct() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(InputError, match="no server can be reached"):
            list(ServerGenerator(url, "m", max_retries=0).stream(requests(3), Sampling()))


def test_calls_in_flight_are_bounded_and_used() -> None:
    together = threading.Barrier(3, timeout=30)

    def answer(body: dict[str, Any], _: int) -> Reply:
        together.wait()  # passes only if three calls are there at once
        return echo(body, 0)

    with serving(answer) as (url, server):
        done = list(ServerGenerator(url, "m", concurrency=3).stream(requests(4, n=3), Sampling()))
    assert {c.finish_reason for c in done} == {"stop"}
    assert server.most_at_once == 3


def test_endless_requests_are_pulled_as_calls_come_back() -> None:
    pulled = []

    def endless() -> Iterator[Request]:
        for i in count():
            pulled.append(i)
            yield Request(f"p{i}", f"prompt {i}")

    with serving(echo) as (url, _):
        stream = ServerGenerator(url, "m", concurrency=4).stream(endless(), Sampling())
        assert len(list(islice(stream, 10))) == 10
        stream.close()
    assert len(pulled) <= 14


def test_closing_cancels_what_is_in_flight() -> None:
    together, released, waited_in_vain = threading.Barrier(4, timeout=30), threading.Event(), []

    def answer(body: dict[str, Any], _: int) -> Reply:
        together.wait()
        if prompt_of(body) != "prompt 0" and not released.wait(30):
            waited_in_vain.append(prompt_of(body))
        return echo(body, 0)

    with serving(answer) as (url, _):
        stream = ServerGenerator(url, "m", concurrency=4).stream(requests(8), Sampling())
        assert next(stream).request_id == "p0"
        stream.close()  # would wait for the calls if it did not cancel them
        released.set()
    assert waited_in_vain == []
    assert not [thread for thread in threading.enumerate() if thread.name == "titer-server-calls"]


def test_a_faulty_request_cancels_what_is_in_flight() -> None:
    with serving(echo) as (url, _), pytest.raises(InputError, match="comes twice"):
        list(ServerGenerator(url, "m", concurrency=2).stream([Request("a", "x")] * 2, Sampling()))
    assert not [thread for thread in threading.enumerate() if thread.name == "titer-server-calls"]


@pytest.mark.parametrize("wrong", [{"base_url": "localhost:8000"}, {"concurrency": 0}], ids=str)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        ServerGenerator(**{"base_url": "http://localhost/v1", "model": "m", **wrong})
