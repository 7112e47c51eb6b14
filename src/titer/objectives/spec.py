"""Objectives as people write them, in recipes and on the command line.

    objective("nll")   objective("p@p<=0.9")   objective("power:10")   objective("0.7*p+0.3*nll")
    objective("quantile:0.1", cuts={0.1: 0.034})      # a cut of the base model's token probabilities

    spec      = part ("+" part)*
    part      = [number "*"] name [":" number] ["@" bound]
    bound     = ("p" | "q") (">=" | "<=") number        p: the token's probability; q: a quantile of the base model's

The same thing under two names is one thing: `dft` is p, `power:1` too, `focal:0` is nll, `profit:t` is nll@p>=t,
`talr:t` is power:1/t, `quantile:q` is nll@q>=q.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from titer.errors import InputError
from titer.objectives import family
from titer.objectives.family import Objective

# name → whether it takes a number, and what makes it
_PLAIN: Final[Mapping[str, Callable[[], Objective]]] = {
    "nll": family.nll,
    "p": family.p,
    "log1mp": family.log1mp,
    "infosft": family.infosft,
    "eaft": family.eaft,
    "deft": family.deft,
    "iw": family.iw,
}
_WITH_NUMBER: Final[Mapping[str, Callable[[float], Objective]]] = {
    "power": family.power,
    "focal": family.focal,
    "asft": family.asft,
}
_ALIASES: Final[Mapping[str, str]] = {"dft": "p"}
NAMES: Final = (*_PLAIN, *_WITH_NUMBER, "quantile", "profit", "talr", *_ALIASES)

_NUMBER = r"\d*\.?\d+(?:e[-+]?\d+)?"
_PART = re.compile(
    rf"(?:(?P<factor>{_NUMBER})\*)?(?P<name>[a-z]\w*)(?::(?P<number>-?{_NUMBER}))?"
    rf"(?:@(?P<of>[pq])(?P<side>>=|<=)(?P<cut>-?{_NUMBER}))?"
)


def objective(spec: str, cuts: Mapping[float, float] | None = None) -> Objective:
    """The objective that `spec` writes. `cuts` gives the probability at each quantile that it names.

    Raises InputError: an unknown name (the nearest is named), a number that is missing, not wanted or out of its
    range, and a quantile without its cut.
    """
    parts = []
    for text in _split(spec):
        found = _PART.fullmatch(text)
        if not found:
            raise _fault(f"cannot read {text!r} of objective {spec!r}", "write name, name:number or name@p>=number")
        parts.append((float(found["factor"] or 1), _part(found, spec, cuts or {})))
    if len(parts) == 1 and parts[0][0] == 1:
        return parts[0][1]
    if any(factor <= 0 for factor, _ in parts):
        raise _fault(f"a factor of objective {spec!r} is not above 0", "write positive factors")
    return family.mixture(parts)


def quantiles(spec: str) -> list[float]:
    """The quantiles of the base model's token probabilities that `spec` needs cuts for."""
    parts = [_PART.fullmatch(text) for text in _split(spec)]
    named = [found["number"] for found in parts if found and found["name"] == "quantile" and found["number"]]
    bounds = [found["cut"] for found in parts if found and found["of"] == "q"]
    return sorted({float(number) for number in [*named, *bounds]})


def _split(spec: str) -> list[str]:
    """The parts of a sum; the + of 1e+3 is none."""
    return re.split(r"(?<!e)\+", spec.replace(" ", "").lower())


def _part(found: re.Match[str], spec: str, cuts: Mapping[float, float]) -> Objective:
    name, number = found["name"], found["number"]
    value = None if number is None else float(number)
    bound = (found["of"], found["side"], found["cut"])
    if name in {"quantile", "profit"}:
        if found["of"]:
            raise _fault(f"{name} of objective {spec!r} is a threshold already", "give one threshold")
        if value is None:
            raise _fault(f"{name} of objective {spec!r} needs a number", f"write {name}:0.1")
        name, value, bound = "nll", None, ("q" if name == "quantile" else "p", ">=", number)
    inner = _named(name, value, spec)
    return _bounded(inner, bound, spec, cuts) if bound[0] else inner


def _named(name: str, value: float | None, spec: str) -> Objective:
    name = _ALIASES.get(name, name)
    if name == "talr":
        if value is None or value <= 0:
            raise _fault(f"talr of objective {spec!r} needs a temperature above 0", "write talr:2")
        name, value = "power", 1 / value
    if name in _PLAIN:
        if value is not None:
            raise _fault(f"{name} of objective {spec!r} takes no number", f"write {name}")
        return _PLAIN[name]()
    if name not in _WITH_NUMBER:
        close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.0)[0]
        raise _fault(f"unknown objective {name!r}, did you mean {close!r}?", f"use one of: {', '.join(NAMES)}")
    if value is None:
        raise _fault(f"{name} of objective {spec!r} needs a number", f"write {name}:{_EXAMPLES[name]}")
    if value < 0 or (value == 0 and name != "focal"):
        limit = "; its limit at 0 is nll" if name == "power" else ""
        raise _fault(f"{name}:{value:g} is not above 0{limit}", f"write {name}:{_EXAMPLES[name]}")
    if (name, value) in {("power", 1.0), ("focal", 0.0)}:
        return family.p() if name == "power" else family.nll()
    return _WITH_NUMBER[name](value)


_EXAMPLES: Final[Mapping[str, str]] = {"power": "10", "focal": "2", "asft": "0.05"}


def _bounded(inner: Objective, bound: tuple[Any, Any, Any], spec: str, cuts: Mapping[float, float]) -> Objective:
    of, side, cut = bound[0], bound[1], float(bound[2])
    if not 0 <= cut <= 1:
        raise _fault(f"threshold {cut:g} of objective {spec!r} is not in [0, 1]", "give a share from 0 to 1")
    if of == "q":
        if cut not in cuts:
            raise _fault(f"quantile {cut:g} of objective {spec!r} has no cut", "measure the base model first")
        cut = cuts[cut]
    return family.within(inner, cut, 1.0) if side == ">=" else family.within(inner, 0.0, cut)


def _fault(fault: str, remedy: str) -> InputError:
    return InputError(fault, field="train.objective", remedy=remedy)
