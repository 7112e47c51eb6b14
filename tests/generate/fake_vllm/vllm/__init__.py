"""A stand-in for vLLM: answers with the last token of the prompt, refuses calls with a prompt that is too long for it,
and dies to order."""

import os
from pathlib import Path
from types import SimpleNamespace


class SamplingParams:
    def __init__(self, **settings: object) -> None:
        self.settings = settings


class LLM:
    def __init__(self, model: str, **engine: object) -> None:
        print("vLLM is talkative")
        if engine.pop("unknown", None):
            print("ValueError: tensors of another shape")
            raise RuntimeError("see above")
        self.longest = int(str(engine.get("max_model_len", 1000)))
        self.torn = int(str(engine.get("torn", 0)))
        self.deaths = Path(str(engine["deaths"])) if "deaths" in engine else None

    def generate(self, prompts: list, how: list, use_tqdm: bool) -> list:
        if self.deaths and (left := int(self.deaths.read_text())):
            self.deaths.write_text(str(left - 1))
            print("out of memory")
            if self.torn:
                os.write(self.torn, b'{"rows": [{"ids": [1, 2')
            os._exit(1)
        if any(len(prompt["prompt_token_ids"]) >= self.longest for prompt in prompts):
            raise ValueError(f"The prompt is longer than the maximum model length of {self.longest}")
        return [
            SimpleNamespace(outputs=[SimpleNamespace(**_answer(prompt["prompt_token_ids"], one.settings))])
            for prompt, one in zip(prompts, how, strict=True)
        ]


def _answer(ids: list, settings: dict) -> dict:
    """The last token of the prompt, then the end; alone where there is room for no more."""
    if settings["max_tokens"] == 1:
        return {"token_ids": [ids[-1]], "finish_reason": "length"}
    return {"token_ids": [ids[-1], settings["stop_token_ids"][0]], "finish_reason": "stop"}
