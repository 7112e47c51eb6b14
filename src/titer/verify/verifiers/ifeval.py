"""Instruction following as IFEval checks it (arXiv 2311.07911): prompt-level strict accuracy.

    problem = Problem(id="i", prompt="Answer without commas.", answer="follow", verifier="ifeval",
                      meta={"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]})
    check_ifeval(problem, "No comma here.")        # Grade(1.0, "1 of 1")

The checks are those of the package if-verifiable (extra `ifeval`). A response is right when it follows every
instruction; `parsed` says how many. Two kinds of instruction count sentences with NLTK's punkt models, which no package
carries: problems with them are refused unless the models are on the machine.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from typing import Any, Final

from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify.grade import Grade

EXTRA: Final = "pip install 'titer[ifeval]'"
# what the checks of an instruction read from NLTK's data
_NEEDS: Final = {
    "length_constraints:number_sentences": "tokenizers/punkt/english.pickle",
    "change_case:capital_word_frequency": "tokenizers/punkt_tab/english",
}
_COUNTS: Final = re.compile(r"num_\w+|nth_paragraph|\w*frequency|low|high")  # arguments that are whole numbers


def check_ifeval(problem: Problem, response: str) -> Grade:
    """Grade whether a response follows every instruction of the problem, each checked on the response as it is."""
    from if_verifiable.common import evaluate_instructions

    if not response.strip():
        return Grade(0.0, None)
    names = list(problem.meta["instruction_id_list"])
    kwargs = [_arguments(given) for given in problem.meta["kwargs"]]
    results, _ = evaluate_instructions(response, names, kwargs, problem.prompt, _registry())
    followed = sum(result.strict_pass for result in results)
    return Grade(float(followed == len(names)), f"{followed} of {len(names)}")


def validate_ifeval(problem: Problem) -> None:
    """Raise InputError unless every instruction is known, has its arguments, and can be checked on this machine."""
    names, kwargs = problem.meta.get("instruction_id_list"), problem.meta.get("kwargs")
    if not (isinstance(names, list) and names and isinstance(kwargs, list) and len(kwargs) == len(names)):
        fault = f"problem {problem.id!r}: instructions and their arguments do not match"
        raise InputError(fault, field="meta.kwargs", remedy="give one object for each of instruction_id_list")
    if importlib.util.find_spec("if_verifiable") is None:
        raise InputError("the verifier ifeval is not installed", field="verifier", remedy=EXTRA)
    for name, given in zip(names, kwargs, strict=True):
        if not isinstance(name, str) or name not in _registry():
            fault = f"problem {problem.id!r}: no instruction {str(name)[:60]!r}"
            raise InputError(fault, field="meta.instruction_id_list", remedy="use IFEval's names")
        if name in _NEEDS and not _has_data(_NEEDS[name]):
            fault = f"problem {problem.id!r}: {name} needs NLTK's {_NEEDS[name].split('/')[1]}"
            raise InputError(
                fault, field="meta.instruction_id_list", remedy="python -m nltk.downloader punkt punkt_tab, or drop it"
            )
        # what is missing the package would draw at random
        needed = set(_registry()[name](name).get_instruction_args_keys())
        if not isinstance(given, dict) or set(_arguments(given)) != needed:
            fault = f"problem {problem.id!r}: {name} has not its arguments"
            raise InputError(fault, field="meta.kwargs", remedy=f"give {', '.join(sorted(needed)) or 'none'}")
        for key, value in _arguments(given).items():
            if _COUNTS.fullmatch(key) and (not isinstance(value, int) or isinstance(value, bool)):
                fault = f"problem {problem.id!r}: {key} of {name} is {str(value)[:60]!r}, no whole number"
                raise InputError(fault, field="meta.kwargs", remedy="give a whole number, not in quotes")


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are there. A table turns whole numbers into floats, and what is missing into nan."""
    there = {key: value for key, value in given.items() if value is not None and value == value}  # noqa: PLR0124
    return {key: int(value) if _is_whole(value) else value for key, value in there.items()}


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


@cache
def _registry() -> dict[str, Any]:
    """The checks by name. The detector of languages draws at random: its seed is set once."""
    import langdetect
    from if_verifiable.ifeval.instructions_registry import INSTRUCTION_DICT

    langdetect.DetectorFactory.seed = 0
    return dict(INSTRUCTION_DICT)


@cache
def _has_data(path: str) -> bool:
    import nltk

    try:
        nltk.data.find(path)
    except LookupError:
        return False
    return True
