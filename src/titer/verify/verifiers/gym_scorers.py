"""reasoning-gym's scorers, made safe for untrusted answers and strict about wrong ones.

    score("chain_sum", "42", entry, config={})    # 1.0 for a right answer, less for any other

Most tasks are scored by the scorer they ship. Some of those hand the model's answer to `eval` or to sympy's
parser (which evaluates Python), give full credit to wrong answers, or compare tuples, which JSON does not have.
`_OWN` replaces such a scorer; `_FORMULA_FIELDS`, `_TUPLE_FIELDS` and `number_sorting` prepare what it is given.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from titer.errors import InputError
from titer.verify.verifiers.countdown import Rules, find_fault, read_claim

Entry = Mapping[str, Any]

_NAMES = {
    *("sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("asinh", "acosh", "atanh", "exp", "log", "ln", "sqrt", "pi", "Abs", "erf"),
}
_WORD = re.compile(r"[A-Za-z]+")
_FORMULA = re.compile(r"(?:[A-Za-z0-9\s+\-*/^(),]|\.(?=[0-9]))*")  # a point before a name would be an attribute
_DECIMAL = re.compile(r"-?[0-9][0-9,]{0,40}(?:\.[0-9]{1,40})?")
# Fields of an entry that the scorer hands to sympy's parser.
_FORMULA_FIELDS = {
    "polynomial_multiplication": ("answer",),
    "simple_integration": ("answer", "integrand"),
    "intermediate_integration": ("answer", "integrand"),
}
_TUPLE_FIELDS = {"arc_agi": "output", "rearc": "output"}  # compared with the tuples that its parser makes


def score(task: str, answer: str, entry: Entry, config: Mapping[str, Any]) -> float:
    """Score an answer; only 1.0 is right. `config` is what differs from the task's defaults.

    What a scorer raises is raised.
    """
    if task in _OWN:
        return float(_OWN[task](answer, entry))
    if task in _FORMULA_FIELDS and not _is_formula(answer, allow_integral="Integral" in str(entry["answer"])):
        return 0.0
    if task == "complex_arithmetic" and "nan" in answer.lower():  # min(1.0, nan) is 1.0
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # some scorers print
        return float(_scorer(task, json.dumps(config, sort_keys=True))(answer, _prepare(task, entry)))


def find_unsound_field(task: str, entry: Entry) -> str | None:
    """Name the first field that the task's scorer would evaluate and that is not plain data; None if none is."""
    if task == "number_sorting":
        return None if _is_list(entry["answer"]) else "answer"
    return next((name for name in _FORMULA_FIELDS.get(task, ()) if not _is_formula(_field(entry, name))), None)


def make_dataset(task: str, config: Mapping[str, Any]) -> Any:
    """Make a reasoning-gym dataset. Raises InputError for a config that the task refuses."""
    from reasoning_gym import create_dataset

    try:
        return create_dataset(task, **config)
    except (TypeError, ValueError, AssertionError) as error:
        fault = f"reasoning-gym refuses the config of {task}: {error}"
        raise InputError(fault, field="config", remedy="see the fields of the task's config class") from error


@lru_cache(maxsize=256)
def _scorer(task: str, config: str) -> Callable[[str, Entry], float]:
    scorer: Callable[[str, Entry], float] = make_dataset(task, json.loads(config)).score_answer
    return scorer


def _prepare(task: str, entry: Entry) -> Entry:
    """Copy an entry, as some scorers write into it, and make it what the scorer expects."""
    prepared = copy.deepcopy(dict(entry))
    if task in _TUPLE_FIELDS:
        metadata, field = prepared["metadata"], _TUPLE_FIELDS[task]
        metadata[field] = tuple(tuple(row) for row in metadata[field])
    if task == "number_sorting":  # its scorer gives to eval what is not JSON
        prepared["answer"] = json.dumps(ast.literal_eval(prepared["answer"]))
    return prepared


def _field(entry: Entry, name: str) -> str:
    return str(entry["answer"] if name == "answer" else entry["metadata"].get(name))


def _is_formula(text: str, *, allow_integral: bool = True) -> bool:
    """Say whether `text` is arithmetic over variables and known functions, and so harmless to sympy's parser."""
    known = _NAMES | {"Integral"} if allow_integral else _NAMES
    return bool(_FORMULA.fullmatch(text)) and all(len(word) == 1 or word in known for word in _WORD.findall(text))


def _is_list(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), list)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def _same_integer(answer: str, entry: Entry) -> bool:
    try:
        return int(answer, 0) == int(entry["answer"], 0)
    except ValueError:
        return False


def _same_decimal(answer: str, entry: Entry) -> bool:
    found = _DECIMAL.findall(answer)
    return len(found) == 1 and Fraction(found[0].replace(",", "")) == Fraction(entry["answer"].replace(",", ""))


def _same_probability(answer: str, entry: Entry) -> bool:
    try:
        return abs(Fraction(answer) - Fraction(entry["answer"])) <= Fraction(1, 10_000)
    except (ValueError, ZeroDivisionError):
        return False


def _same_factors(answer: str, entry: Entry) -> bool:
    return _factors(answer) == _factors(entry["answer"])


def _factors(text: str) -> list[str]:
    return sorted(re.split(r"\s*(?:[×*·]|\\times|\\cdot)\s*", text.strip()))


def _same_text(answer: str, entry: Entry) -> bool:
    return answer.strip() == str(entry["answer"]).strip()


def _same_letters(answer: str, entry: Entry) -> bool:
    return answer.strip().lower() == str(entry["answer"]).strip().lower()


def _reaches(answer: str, entry: Entry) -> bool:
    claim = read_claim(answer, signs=True)
    metadata = entry["metadata"]
    rules = Rules(tuple(metadata["numbers"]), metadata.get("target", 24))  # a puzzle24 names no target
    return claim is not None and not find_fault(claim, rules)


_OWN: dict[str, Callable[[str, Entry], bool]] = {
    # The shipped scorers give the answer, or the expression in the entry, to eval.
    "binary_matrix": _same_text,
    "string_insertion": _same_text,
    "spiral_matrix": _same_text,
    "n_queens": lambda answer, entry: answer in entry["metadata"]["valid_answers"],
    "bitwise_arithmetic": _same_integer,
    # They parse the answer with sympy, and take 4! and 24.9 for 24, 5**2 for two numbers, or numbers not given.
    "countdown": _reaches,
    "puzzle24": _reaches,
    # They give full credit to any answer, to any prefix such as "0", to any sign, to a right answer and more.
    "game_of_life_halting": _same_letters,
    "coin_flip": _same_probability,
    "gsm_symbolic": _same_decimal,
    "letter_jumble": _same_letters,
    # It raises on anything but numbers.
    "prime_factorization": _same_factors,
}
