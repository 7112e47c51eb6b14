"""Several servers as one: balance, servers that fail, hang, die and come back, and none that serves another model."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chat_server import Reply, chat, serving
from titer.errors import InputError
from titer.generate import Completion, Request, Sampling, ServerGenerator
from titer.generate.servers import addresses
from titer.generate.servers import fleet as module
from titer.generate.servers.fleet import Endpoint, Fleet
from titer.rollouts import model_identity

FAILURE = Reply('{"error": {"message": "out of memory"}}', status=500)
Answer = Callable[[dict[str, Any], int], Reply]


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST", (0.05, 0.1, 0.2))


def slowly(seconds: float) -> Answer:
    def answer(body: dict[str, Any], _: int) -> Reply:
        time.sleep(seconds)
        return chat(body["messages"][0]["content"])

    return answer


def sampled(urls: Sequence[str], requests: int, n: int = 2, **settings: Any) -> list[Completion]:
    asked = [Request(f"p{i}", f"prompt {i}", n) for i in range(requests)]
    generator = ServerGenerator(urls, "m", **{"concurrency": 4, "timeout": 5.0, **settings})
    return list(generator.stream(asked, Sampling()))


def each_once(done: Sequence[Completion], requests: int, n: int = 2) -> bool:
    """Whether every sample has come, exactly once, and is the answer to its own prompt."""
    counted = Counter((one.request_id, one.sample) for one in done if one.finish_reason == "stop")
    right = all(one.text == f"prompt {one.request_id[1:]}" for one in done)
    return right and counted == Counter((f"p{i}", k) for i in range(requests) for k in range(n))


def test_the_faster_server_gets_more() -> None:
    """The slow one answers nothing until the fast one was asked for three quarters of everything."""
    enough, asked = threading.Event(), list[str]()

    def quick(body: dict[str, Any], _: int) -> Reply:
        asked.append(body["messages"][0]["content"])
        if len(asked) >= 60:
            enough.set()
        return chat(body["messages"][0]["content"])

    def slow(body: dict[str, Any], _: int) -> Reply:
        enough.wait(10)
        return chat(body["messages"][0]["content"])

    with serving(quick) as (fast, one), serving(slow) as (slower, other):
        done = sampled([fast, slower], 40, timeout=60.0)
    assert each_once(done, 40)
    assert enough.is_set() and len(other.bodies) > 0
    assert one.most_at_once <= 4 and other.most_at_once <= 4


def test_random_failures_lose_nothing_and_nothing_comes_twice() -> None:
    rng = random.Random(0)

    def flaky(body: dict[str, Any], _: int) -> Reply:
        return FAILURE if rng.random() < 0.4 else chat(body["messages"][0]["content"])

    with serving(flaky) as (ill, seen), serving(slowly(0.005)) as (well, _):
        done = sampled([ill, well], 40)
    assert each_once(done, 40) and seen.bodies


def test_a_server_that_dies_and_comes_back_is_used_again() -> None:
    back: list[int] = []
    with serving(slowly(0.01)) as (well, _):
        with serving(slowly(0.01)) as (dying, before):
            port = int(dying.split(":")[2].split("/")[0])
            asked = [Request(f"p{i}", f"prompt {i}", 2) for i in range(100)]
            stream = ServerGenerator([dying, well], "m", concurrency=4, timeout=5.0).stream(asked, Sampling())
            done = [next(stream) for _ in range(20)]
        assert before.bodies

        def serve_again() -> None:
            with serving(slowly(0.01), port=port) as (_, after):
                ended.wait(20)
                back.append(len(after.bodies))

        done += [next(stream) for _ in range(20)]  # on the one that is left
        ended = threading.Event()
        again = threading.Thread(target=serve_again)
        again.start()
        done += list(stream)
        ended.set()
        again.join()
    assert each_once(done, 100) and back[0] > 0


def test_a_server_that_hangs_holds_up_its_own_calls_alone() -> None:
    released = threading.Event()

    def hanging(body: dict[str, Any], _: int) -> Reply:
        released.wait(20)
        return chat(body["messages"][0]["content"])

    with serving(hanging) as (stuck, seen), serving(slowly(0.005)) as (well, _):
        asked = [Request(f"p{i}", f"prompt {i}", 2) for i in range(40)]
        stream = ServerGenerator([stuck, well], "m", concurrency=4, timeout=20.0).stream(asked, Sampling())
        done = [next(stream) for _ in range(76)]  # all but those that hang
        assert len(seen.bodies) == 4
        released.set()
        done += list(stream)
    assert each_once(done, 40)


def test_what_hangs_for_too_long_is_asked_of_another() -> None:
    def hanging(body: dict[str, Any], _: int) -> Reply:
        ended.wait(20)
        return chat(body["messages"][0]["content"])

    ended = threading.Event()
    with serving(hanging) as (stuck, _), serving(slowly(0.005)) as (well, _):
        done = sampled([stuck, well], 10, timeout=2.0)
        ended.set()
    assert each_once(done, 10)


def test_a_server_of_another_model_is_named() -> None:
    with serving(slowly(0), models=["m"]) as (right, _), serving(slowly(0), models=["other"]) as (wrong, _):
        with pytest.raises(InputError, match=f"{wrong} serves other, not 'm'"):
            sampled([right, wrong], 1)
        assert each_once(sampled([right, right], 2), 2)


def test_one_that_is_not_there_is_left_to_rest_and_none_at_all_is_said() -> None:
    with serving(slowly(0)) as (well, _):
        assert each_once(sampled(["http://127.0.0.1:9/v1", well], 10), 10)
    with pytest.raises(InputError, match="no server can be reached at http://127.0.0.1:9/v1, http://127.0.0.1:8/v1"):
        sampled(["http://127.0.0.1:9/v1", "http://127.0.0.1:8/v1"], 1)


def test_where_all_fail_for_good_the_calls_are_errors() -> None:
    with serving(lambda *_: FAILURE) as (one, _), serving(lambda *_: FAILURE) as (other, _):
        done = sampled([one, other], 3, n=1, max_retries=2)
    assert [(c.finish_reason, "out of memory" in c.note) for c in done] == [("error", True)] * 3


def test_a_prompt_that_is_refused_is_not_tried_everywhere() -> None:
    def refusing(body: dict[str, Any], _: int) -> Reply:
        prompt = body["messages"][0]["content"]
        return Reply('{"error": {"message": "too long"}}', status=400) if prompt == "prompt 1" else chat(prompt)

    with serving(refusing) as (one, first), serving(refusing) as (other, second):
        done = sampled([one, other], 3, n=1)
    assert {c.request_id: c.finish_reason for c in done} == {"p0": "stop", "p1": "error", "p2": "stop"}
    asked = [body["messages"][0]["content"] for server in (first, second) for body in server.bodies]
    assert asked.count("prompt 1") == 1


def test_addresses_and_who_gave_a_rollout() -> None:
    assert addresses("http://a/v1, http://b/v1,http://a/v1") == ["http://a/v1", "http://b/v1"]
    with pytest.raises(InputError, match="'nowhere' is no address"):
        ServerGenerator("http://a/v1,nowhere", "m")
    assert model_identity("m", "http://a/v1,http://b/v1") == model_identity("m", "http://c/v1,http://a/v1")


def test_a_server_that_fails_three_calls_in_ten_does_not_rest() -> None:
    rng, flaky = random.Random(0), Endpoint("a", None)  # type: ignore[arg-type]
    fleet = Fleet([flaky, Endpoint("b", None)], concurrency=3)  # type: ignore[arg-type]
    for _ in range(3000):
        flaky.calls += 1
        fleet.give_back(flaky, 0, failed=rng.random() < 0.3)
        assert flaky.takes(time.monotonic(), 3)


def test_what_one_server_fails_another_is_asked_even_if_it_has_more_to_do() -> None:
    ill, well = Endpoint("a", None), Endpoint("b", None, outstanding=900)  # type: ignore[arg-type]
    fleet = Fleet([ill, well], concurrency=1)
    assert asyncio.run(fleet.take(10, patience=1.0)) is ill
    fleet.give_back(ill, 10, failed=True)
    assert asyncio.run(fleet.take(10, patience=1.0, failed={ill}, times=1)) is well
    # both have failed it: whichever is free
    assert asyncio.run(fleet.take(10, patience=1.0, failed={ill, well}, times=2)) is ill


def test_another_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    flaky, hung = Endpoint("a", None), Endpoint("b", None, calls=2)  # type: ignore[arg-type]
    fleet = Fleet([flaky, hung], concurrency=2)
    monkeypatch.setattr(module, "REST", (0.2, 0.4))
    began = time.monotonic()
    assert asyncio.run(fleet.take(10, patience=9.0, failed={flaky}, times=1)) is flaky
    assert 0.2 <= time.monotonic() - began < 5.0


def test_a_server_that_always_fails_costs_no_rollout_at_one_call_a_time() -> None:
    with serving(lambda *_: FAILURE) as (ill, seen), serving(slowly(0.005)) as (well, _):
        asked = [Request(f"p{i}", f"prompt {i}", 2) for i in range(30)]
        done = list(ServerGenerator([ill, well], "m", concurrency=1).stream(asked, Sampling()))
    assert each_once(done, 30) and len(seen.bodies) >= module.FAILURES


def test_a_server_that_has_rested_gets_one_call_until_it_succeeds() -> None:
    ill, well = Endpoint("a", None), Endpoint("b", None)  # type: ignore[arg-type]
    fleet = Fleet([ill, well], concurrency=3)
    for _ in range(module.FAILURES):
        ill.calls += 1
        fleet.give_back(ill, 0, failed=True)
    assert ill.rests == 1 and not ill.takes(time.monotonic(), 3)
    later = time.monotonic() + 1
    assert ill.takes(later, 3)
    ill.calls += 1
    assert not ill.takes(later, 3)
    fleet.give_back(ill, 0, failed=False)
    assert ill.rests == 0 and ill.takes(time.monotonic(), 3)
