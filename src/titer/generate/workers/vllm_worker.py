"""The process in which vLLM runs. It knows nothing of titer and is run by an interpreter that has vLLM.

The first line on stdin is {"model": FOLDER, "engine": {…}}; each later one is a window of requests, {"rows": [{"ids":
[…], "sampling": {…}}, …]}. What goes out is a line a window, {"rows": [{"ids": […], "reason": "stop", "note": ""}, …]},
or {"fault": "…"}; a row that vLLM refuses has the reason "error". What vLLM prints goes to stderr.
"""

import json
import os
import sys
from typing import Any


def main() -> None:
    """Load the model, then answer window after window until stdin ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**what: object) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    opening = json.loads(sys.stdin.readline())
    try:
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found]
    except ImportError as error:
        return tell(fault=f"no vLLM in {sys.executable}: {error}", missing=True)
    try:
        llm = LLM(model=opening["model"], **opening["engine"])
    except Exception as error:
        return tell(fault=f"vLLM cannot load {opening['model']}: {error}")
    tell(ready=True)
    for line in sys.stdin:
        tell(rows=answered(json.loads(line)["rows"], llm, SamplingParams))
    return None


def answered(rows: list[dict[str, Any]], llm: Any, params: Any) -> list[dict[str, Any]]:
    """An answer to every row. vLLM refuses a whole call for one row that it does not take: halves are tried apart."""
    prompts = [{"prompt_token_ids": row["ids"]} for row in rows]
    try:
        how = [params(**row["sampling"], detokenize=False) for row in rows]
        done = llm.generate(prompts, how, use_tqdm=False)
    except ValueError as error:
        if len(rows) == 1:
            return [{"ids": [], "reason": "error", "note": str(error)}]
        half = len(rows) // 2
        return answered(rows[:half], llm, params) + answered(rows[half:], llm, params)
    # some versions keep what they had taken of a refused call, and answer that first
    latest = [one.outputs[0] for one in done[-len(rows) :]]
    return [{"ids": list(one.token_ids), "reason": one.finish_reason, "note": ""} for one in latest]


if __name__ == "__main__":
    main()
