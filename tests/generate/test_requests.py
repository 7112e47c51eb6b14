"""Settings and requests that no backend can follow."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice

import pytest

from titer.errors import InputError
from titer.generate import Request, Sampling
from titer.generate.checks import check_sampling, checked


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -0.1}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1}, {"max_tokens": 0}, {"stop": ("",)}],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        check_sampling(replace(Sampling(), **wrong))


def test_the_defaults_are_in_range() -> None:
    check_sampling(Sampling())


@pytest.mark.parametrize(
    ("requests", "fault"),
    [
        ([Request("a", "x"), Request("b", "x"), Request("a", "y")], "'a' comes twice"),
        ([Request("a", "x", n=0)], "0 samples"),
        ([Request("a", "x", first=-1)], "from number -1"),
    ],
)
def test_requests_that_cannot_be_answered_are_refused(requests: list[Request], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        list(checked(requests))


def test_requests_are_pulled_one_by_one() -> None:
    endless = (Request(str(i), "x") for i in count())
    assert [request.id for request in islice(checked(endless), 3)] == ["0", "1", "2"]
    assert next(endless).id == "3"
