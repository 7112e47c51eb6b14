"""What is said before a prompt reaches the model, in this process and through a server."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import pytest

from chat_server import chat, serving
from titer.errors import InputError
from titer.generate import Completion, Request, Sampling, ServerGenerator
from titer.generate.text import render
from titer.models import describe_model
from titer.records import Problem, in_words
from titer.rollouts.draw import Asked, draw
from titer.verify import Grader

TURNS = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
         {"role": "assistant", "content": "Hello!"})  # fmt: skip
PROBLEM = Problem(
    id="p", prompt="3 + 4?", answer="7", verifier="exact", meta={"earlier_messages": list(TURNS), "note": "n"}
)

ALONE = Problem(id="q", prompt="3 + 4?", answer="7", verifier="exact")


def test_the_template_writes_them_all() -> None:
    tokenizer = describe_model("lab").tokenizer
    ids = render(tokenizer, Request("a", "3 + 4?", earlier=TURNS)).ids
    turns = [*TURNS, {"role": "user", "content": "3 + 4?"}]
    assert ids == tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert len(ids) > len(render(tokenizer, Request("a", "3 + 4?")).ids)
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    with pytest.raises(InputError, match="request 'a' has messages before its prompt, and the tokenizer has no chat"):
        render(plain, Request("a", "3 + 4?", earlier=TURNS))


def test_a_server_gets_them_all() -> None:
    with serving(lambda *_: chat("7")) as (url, server), Grader(workers=1) as grader:
        (rollout,) = draw(ServerGenerator(url, "m"), [Asked(PROBLEM, 0, 1, "")], Sampling(), grader)
    assert server.bodies[0]["messages"] == [*TURNS, {"role": "user", "content": "3 + 4?"}]
    assert rollout.score == 1.0


def test_a_problem_alone_is_asked_alone() -> None:
    class Heard:
        name = "heard"

        def __init__(self) -> None:
            self.requests: list[Request] = []

        def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
            for request in requests:
                self.requests.append(request)
                yield Completion(request.id, 0, "7", "", "7", "stop", 1)

    heard = Heard()
    with Grader(workers=1) as grader:
        draw(
            heard, [Asked(Problem(id="q", prompt="3 + 4?", answer="7", verifier="exact"), 0, 1, "")], Sampling(), grader
        )
        draw(heard, [Asked(PROBLEM, 0, 1, "")], Sampling(), grader)
    assert [request.earlier for request in heard.requests] == [(), TURNS]


def test_in_words_says_who_said_what() -> None:
    assert in_words(PROBLEM) == "system: Be brief.\n\nuser: Hello\n\nassistant: Hello!\n\nuser: 3 + 4?"
    assert in_words(ALONE) == "3 + 4?"
