"""Objectives as people write them, in recipes and on the command line.

    objective("nll")   objective("p@p<=0.9")   objective("power:10")   objective("0.7*p+0.3*nll")
    objective("quantile:0.1", cuts={0.1: 0.034})      # a cut of the base model's token probabilities

    spec      = part ("+" part)*
    part      = [number "*"] name [":" number] ["@" bound ["@" bound]]
    bound     = ("p" | "q") (">=" | "<=") number        p: the token's probability; q: a quantile of the base model's

The same thing under two names is one thing: `dft` is p, `power:1` too, `focal:0` is nll, `profit:t` is nll@p>=t,
`talr:t` is power:1/t, `quantile:q` is nll@q>=q.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

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

_NUMBER = r"(?:\d++(?:\.\d++)?|\.\d++)(?:e[-+]?\d++)?"  # possessive: a long row of digits is read once
_PART = re.compile(
    rf"(?:(?P<factor>{_NUMBER})\*)?(?P<name>[a-z]\w*)(?::(?P<number>-?{_NUMBER}))?"
    rf"(?P<bounds>(?:@[pq](?:>=|<=)-?{_NUMBER}){{0,2}})"
)
_BOUND = re.compile(rf"@(?P<of>[pq])(?P<side>>=|<=)(?P<cut>-?{_NUMBER})")
LARGEST: Final = 1e6  # of any number: beyond it a weight is 0 or none at every p
SMALLEST: Final = 1e-6


def objective(spec: str, cuts: Mapping[float, float] | None = None) -> Objective:
    """The objective that `spec` writes. `cuts` gives the probability at each quantile that it names.

    Raises InputError: an unknown name (the nearest is named), a number that is missing, not wanted or out of its
    range, and a quantile without its cut.
    """
    parts = []
    for text in _split(spec):
        found = _PART.fullmatch(text)
        if not found:
            raise _fault(
                f"cannot read {text!r} of objective {spec!r}",
                "write name, name:number, name@p>=number or name@p>=number@p<=number",
            )
        for number in (found["factor"], found["number"]):
            if number and float(number) and not SMALLEST <= abs(float(number)) <= LARGEST:
                raise _fault(f"{number} of objective {spec!r} is too large or too small", "write a number nearer to 1")
        parts.append((float(found["factor"] or 1), _part(found, spec, cuts or {})))
    if any(factor <= 0 for factor, _ in parts):
        raise _fault(f"a factor of objective {spec!r} is not above 0", "write positive factors")
    same = {part.name: part for _, part in parts}  # a sum is the same in any order, and p+p is 2*p
    sums = [(sum(factor for factor, part in parts if part.name == name), same[name]) for name in sorted(same)]
    return sums[0][1] if len(sums) == 1 and sums[0][0] == 1 else family.mixture(sums)


def canonical(spec: str) -> str:
    """One name for what may be written in several ways; specs with quantiles, whose cuts are not known, as they are."""
    if spec == "auto":
        return spec
    return "+".join(_split(spec)) if quantiles(spec) else objective(spec).name


def quantiles(spec: str) -> list[float]:
    """The quantiles of the base model's token probabilities that `spec` needs cuts for."""
    parts = [_PART.fullmatch(text) for text in _split(spec)]
    named = [found["number"] for found in parts if found and found["name"] == "quantile" and found["number"]]
    bounds = [one["cut"] for found in parts if found for one in _BOUND.finditer(found["bounds"]) if one["of"] == "q"]
    return sorted({float(number) for number in [*named, *bounds]})


def holds_base(spec: str) -> bool:
    """Whether a training with `spec` holds the model that it began from, to diverge from it. What `auto` comes to is
    not known yet, and taken not to. Raises InputError as `objective`."""
    if spec == "auto":
        return False
    # what has quantiles is bounded or cut by them, and a divergence has no bounds
    return any(objective(part).divergence > 0 for part in _split(spec) if not quantiles(part))


def _split(spec: str) -> list[str]:
    """The parts of a sum; the + of 1e+3 is none."""
    return re.split(r"(?<!e)\+", spec.replace(" ", "").lower())


def _part(found: re.Match[str], spec: str, cuts: Mapping[float, float]) -> Objective:
    name, number = found["name"], found["number"]
    value = None if number is None else float(number)
    bounds = [(one["of"], one["side"], one["cut"]) for one in _BOUND.finditer(found["bounds"])]
    if name in {"quantile", "profit"}:
        if bounds:
            raise _fault(f"{name} of objective {spec!r} is a threshold already", "give one threshold")
        if value is None:
            raise _fault(f"{name} of objective {spec!r} needs a number", f"write {name}:0.1")
        name, value, bounds = "nll", None, [("q" if name == "quantile" else "p", ">=", number)]
    inner = _named(name, value, spec)
    return _bounded(inner, bounds, spec, cuts) if bounds else inner


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


def _bounded(
    inner: Objective, bounds: Sequence[tuple[str, str, str]], spec: str, cuts: Mapping[float, float]
) -> Objective:
    ends = {">=": 0.0, "<=": 1.0}
    if len(bounds) == 2 and bounds[0][1] == bounds[1][1]:
        raise _fault(f"two bounds of objective {spec!r} are on the same side", "give one, or one of each side")
    for of, side, text in bounds:
        cut = float(text)
        if not 0 <= cut <= 1:
            raise _fault(f"threshold {cut:g} of objective {spec!r} is not in [0, 1]", "give a share from 0 to 1")
        if of == "q" and cut not in cuts:
            raise _fault(f"quantile {cut:g} of objective {spec!r} has no cut", "measure the base model first")
        ends[side] = cuts[cut] if of == "q" else cut
    if ends[">="] >= ends["<="]:
        raise _fault(f"no token's p is within the bounds of objective {spec!r}", "leave room between them")
    if inner.divergence:
        raise _fault(f"the KL of objective {spec!r} has no threshold", "bound another objective")
    # a bound that excludes nothing is none
    return inner if (ends[">="], ends["<="]) == (0.0, 1.0) else family.within(inner, ends[">="], ends["<="])


def _fault(fault: str, remedy: str) -> InputError:
    return InputError(fault, field="train.objective", remedy=remedy)
