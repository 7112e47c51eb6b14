"""The process in which vLLM runs. It knows nothing of titer and is run by an interpreter that has vLLM.

The first line on stdin is {"model": FOLDER, "engine": {…}}; each later one is a window of requests, {"rows": [{"ids":
[…], "sampling": {…}}, …]}. What goes out is a line a window, {"rows": [{"ids": […], "reason": "stop"}, …]}, or
{"fault": "…"}. What vLLM prints goes to stderr.
"""

import json
import os
import sys


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
        rows = json.loads(line)["rows"]
        prompts = [{"prompt_token_ids": row["ids"]} for row in rows]
        how = [SamplingParams(**row["sampling"], detokenize=False) for row in rows]
        done = llm.generate(prompts, how, use_tqdm=False)
        tell(rows=[{"ids": list(one.outputs[0].token_ids), "reason": one.outputs[0].finish_reason} for one in done])
    return None


if __name__ == "__main__":
    main()
