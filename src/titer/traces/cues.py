"""The words by which the rules tell what a step does.

Each line is one behaviour with one weight, and its cues. "^" asks that the cue opens the step, after at most a word
or two such as "Okay, so". Ours: chosen from how reasoning models write, and tuned on the labelled sentences of half
the problems of a public set (see docs/traces.md, which gives the scores on the other half).
"""
# ruff: noqa: E501 - a line is a list of cues, not code

from __future__ import annotations

from typing import NamedTuple

BEHAVIOURS = ("propose", "deduce", "verify", "backtrack", "recap", "setup")

# Ours: arXiv 2604.01702 names proposing and deducing steps and publishes neither definitions nor its judge's prompt.
DEFINITIONS = {
    "propose": "opens a line of attack, or doubts the current one: an idea, a plan, a question, a guess to be tried.",
    "deduce": "moves the current line of attack forward: a calculation, an inference, a case worked out, a fact used.",
    "verify": "checks what has already been derived: computes it again, substitutes it back, tests it on an example.",
    "backtrack": "gives a line of attack up: says that it fails or leads nowhere, or takes a statement back.",
    "recap": "restates a result that has already been derived, or announces the answer.",
    "setup": "restates the problem: its givens, its notation, what is asked.",
}

_CUES = """
propose 4: alternatively | another way | another approach | another method | another idea | what if | how about
propose 4: let me try | let's try | a different approach | a different way | other approach | other method
propose 3: ^perhaps | ^maybe | let me consider | let's consider | let me think | let's think | i could | we could
propose 3: ^another | is there a | is there another | i wonder | maybe i can | maybe we can | perhaps i can | perhaps we can | i'll try
propose 3: let me approach | let's approach | think of it | think about | let me see if | let's see if | ^hmm, maybe
propose 3: ^wait, maybe | ^wait, perhaps | maybe i should | perhaps i should | one way | one approach | let's attempt
propose 3: also can | might be easier | may be easier | would be easier | it's easier | easier to | i'm not sure | not sure
propose 3: 或许 | 也许 | 另一种 | 换一种 | 换个 | 试试 | 不妨 | 要不 | 会不会 | 是不是可以
propose 3: where it gets | seems off | seems complicated | is complicated | tricky | trickier | let's assume | let me denote | i want
propose 3: can be expressed | can be written | is there any | if there's | look for | the key is | the goal is | strategy | plan is
propose 2: let's see | let me see | let me expand | let me compute | let me find | let me calculate | let me define | now, find
propose 2: this approach | we need to adjust | systematic | i need the | i have to | we have to | could be | ^however
propose 2: ^hmm | but wait | ^wait, but | ^wait, is | ^wait, the | hold on | ^but let me | but how | might be | might have | confused
propose 2: i can | ^can i | try to | trying | approach | strategy | i should | i need to figure | i'll | first, i need
propose 2: ^but that | ^but maybe | seems a bit | wait, that | i thought | regardless of | given that it | perhaps | maybe
propose 2: ^now, i need | ^now, let's | ^next, i need | ^so, i need | ^so i need | ^first, let | by considering | if i can
propose 1: ^wait | consider | suppose | instead | need to | let me | let's | to find | step by step | can use | we can
propose 1: how many | how to | is it possible | would be | should be | ^but | ^now,
verify 4: that works | also works | it worked | adds up | lines up | as i did before | match | seems consistent | is consistent
verify 4: looks good | thorough | validate | in agreement | agrees | go back and verify | recap the steps
verify 4: double-check | double check | let me check | let's check | let me verify | let's verify | checks out | sanity check
verify 4: seems correct | that's correct | is correct | looks correct | seems right | that's right | looks right | same result
verify 4: to verify | verify that | verify this | check that | check if | check: | i didn't make | re-check | recheck | test this
verify 4: 验证 | 检查 | 核对 | 验算 | 确认一下 | 没错
verify 3: ^yes | ^correct | that's good | indeed | that seems | make sure | confirm | consistent with | matches | as expected | same answer | same as before
verify 2: verify | check | correct | plug back | plugging back | which is true | holds | satisf
backtrack 5: doesn't work | does not work | that's not right | that is not right | that can't be | that cannot be | scratch that
backtrack 5: i made a mistake | made an error | made a mistake | that's wrong | that is wrong | is incorrect | dead end | go back to
backtrack 5: ^wait, no | ^no, wait | ^no, that | doesn't make sense | that's not | not helpful | too complicated | start over
backtrack 5: doesn't seem right | not possible | is impossible | contradiction | doesn't match | does not match | not equal to
backtrack 5: 不对 | 不行 | 错了 | 矛盾 | 行不通 | 重新开始
backtrack 3: mistake | wrong | confusing | incorrect | misunderst | misread | overcount | not working
recap 5: final answer | \\boxed | the answer is | the answer should be | answer: | in conclusion | to summarize | in summary
recap 5: 最终答案 | 答案是 | 综上 | 因此答案
recap 3: putting it all together | i'm confident | i am confident | ^so, the answer | ^therefore, the answer | ^thus, the answer
recap 2: so in total | overall | all together | so, in total | so the total | so, total
setup 4: i have this | we are given | i've got this | the problem says | the problem states | this problem where | the question asks
setup 4: problem is asking | problem asks | is asking for | 题目
setup 3: this problem | the problem is | we need to find | given that | the question is | asked to find | i need to find the
setup 2: the problem | ^given | ^okay, so | ^alright, so | ^we need to | ^we have to | ^we are
deduce 2: so that | which gives | this gives | we get | i get | equals | simplifies to | becomes | substitut | multiply | divide
"""


# What marks a line of attack as another than the current one, not as its next stage.
ANEW = (
    *("alternatively", "another way", "another approach", "another method", "another idea", "another", "instead"),
    *("what if", "how about", "a different approach", "a different way", "other approach", "other method", "或许"),
    *("another thought", "perhaps", "maybe", "one approach", "let's try", "let me try", "另一种", "换一种", "换个"),
)

STEMS = ("satisf", "misunderst", "substitut")  # cues that stand for every word that begins so


class Cue(NamedTuple):
    """One phrase in lower case, whether it must open the step, and what it says with what weight."""

    phrase: str
    opens: bool
    behaviour: str
    weight: float


def _parse(lines: str) -> tuple[Cue, ...]:
    cues: list[Cue] = []
    for line in lines.strip().splitlines():
        head, _, phrases = line.partition(": ")
        behaviour, weight = head.split()
        cues += [Cue(p.lstrip("^").rstrip(), p.startswith("^"), behaviour, float(weight)) for p in phrases.split(" | ")]
    return tuple(cues)


CUES = _parse(_CUES)
