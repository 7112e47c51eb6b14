"""What every backend refuses before it samples.

check_sampling(sampling)
for request in checked(requests): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from titer.errors import InputError
from titer.generate.protocol import Request, Sampling


def check_sampling(sampling: Sampling) -> None:
    """Raise InputError for settings that no backend can follow."""
    rules = {
        "temperature": (sampling.temperature >= 0, "0 (greedy) or more"),
        "top_p": (0 < sampling.top_p <= 1, "above 0 and at most 1"),
        "top_k": (sampling.top_k >= 0, "0 (off) or more"),
        "max_tokens": (sampling.max_tokens >= 1, "at least 1"),
        "stop": (all(sampling.stop), "strings that are not empty"),
    }
    for field, (holds, rule) in rules.items():
        if not holds:
            value = getattr(sampling, field)
            raise InputError(f"{value!r} is out of range", field=field, remedy=f"give {rule}")


def checked(requests: Iterable[Request]) -> Iterator[Request]:
    """The same requests, pulled one by one. Raises InputError at one that cannot be answered.

    An id that comes twice is refused: it would get the same random numbers, so the same samples again.
    """
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            raise InputError(f"request id {request.id!r} comes twice", field="id", remedy="make the ids unique")
        if request.n < 1 or request.first < 0:
            fault = f"request {request.id!r} asks for {request.n} samples from number {request.first}"
            raise InputError(fault, field="n", remedy="ask for at least one, from 0 or later")
        seen.add(request.id)
        yield request
