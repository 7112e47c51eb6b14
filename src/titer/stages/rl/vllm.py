"""vLLM as TRL drives it: what is missing is said before the training, and a server's failure in one line.

check_vllm(settings, loaded.model.config)      # vLLM, a GPU, and a server that takes weights of this very shape
with answering(settings):
    trainer.train()
"""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from titer.errors import InputError
from titer.recipe import Rl

START_S = 240.0
"""Seconds that a server may take to come up; TRL's own patience."""
TRLS_PORT = 51216
SHAPE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
"""The keys of a model's configuration by which its weights fit another's."""
START = (
    'start it with VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --weight-transfer-config \'{"backend": "nccl"}\' '
    "--logprobs-mode processed_logprobs"
)


def check_vllm(settings: Rl, config: Any) -> None:
    """Raises InputError where the settings ask for vLLM and it cannot be had; `config` is that of the trained model.

    A server is waited for as long as TRL would. That it serves a model of another shape is seen where its model's name
    can be read here; vLLM itself takes the weights of a model with fewer layers without a word.
    """
    if settings.generator != "vllm":
        return
    if importlib.util.find_spec("vllm") is None:
        raise InputError(
            "vLLM is not installed beside the trainer",
            field="rl.generator",
            remedy="install vllm in this environment, or use rl.generator=engine",
        )
    if not can_send():
        raise InputError(
            "TRL sends a model's weights to vLLM over NCCL, and there is no GPU here",
            field="rl.generator",
            remedy="use rl.generator=engine",
        )
    if url := base_url(settings):
        _check_server(url, config)


def base_url(settings: Rl) -> str:
    """The server's address as TRL wants it, without `/v1`; "" without a server."""
    return (settings.vllm_server or "").rstrip("/").removesuffix("/v1")


def group_port() -> int:
    """The port at which trainer and server meet: TRL's, or a free one where that is taken, as by another training."""
    for port in (TRLS_PORT, 0):
        with socket.socket() as free, suppress(OSError):
            free.bind(("", port))
            return int(free.getsockname()[1])
    return TRLS_PORT


def can_send() -> bool:
    """Whether this machine has what TRL needs to send weights."""
    import torch

    return torch.cuda.is_available()


@contextmanager
def answering(settings: Rl) -> Iterator[None]:
    """Turn what TRL raises when its server fails into an InputError."""
    if not settings.vllm_server:
        yield
        return
    import requests

    try:
        yield
    except Exception as error:
        if not _is_of_server(error, requests.RequestException):
            raise
        raise InputError(
            f"the vLLM server at {settings.vllm_server} failed: {str(error)[:300]}",
            field="rl.vllm_server",
            remedy="its log says why; start it anew, and the same call goes on from the last saved state",
        ) from error


def _is_of_server(error: Exception, of_requests: type[Exception]) -> bool:
    # TRL's client raises a plain Exception for an answer other than 200
    return isinstance(error, of_requests | ConnectionError) or str(error).startswith("Request failed: ")


def _check_server(url: str, config: Any) -> None:
    """It is there, gives its development endpoints, takes weights, and serves a model like ours."""
    import requests

    _wait(url)
    try:
        served = _get(f"{url}/server_info?config_format=json")["vllm_config"]
        transfer, mode = served["weight_transfer_config"], served["model_config"]["logprobs_mode"]
        model = _get(f"{url}/v1/models")["data"][0]
        name = model["root"] or model["id"]
    except requests.HTTPError as error:
        raise _refused(url, f"does not answer as TRL needs it ({error})", START) from error
    except (requests.RequestException, LookupError, TypeError) as error:
        raise _refused(url, "does not answer as vLLM does", START) from error
    if not transfer:
        raise _refused(url, "takes no weights", START)
    if mode != "processed_logprobs":
        # only those are the log p of what was sampled, with temperature and top_p; TRL weighs tokens by them
        raise _refused(url, f"gives {mode}", START)
    if differ := _differences(name, config):
        raise _refused(url, f"serves a model of another shape ({differ})", "serve the model that is trained")


def _wait(url: str) -> None:
    import requests

    give_up = time.monotonic() + START_S
    while True:
        try:
            requests.get(f"{url}/health", timeout=10).raise_for_status()
            return
        except requests.RequestException as error:
            no_url = isinstance(error, ValueError)  # as requests' classes for malformed addresses are
            if no_url or time.monotonic() > give_up:
                raise _refused(url, f"is not there ({error})", START) from error
            time.sleep(2)


def _get(url: str) -> Any:
    import requests

    reply = requests.get(url, timeout=30)
    reply.raise_for_status()
    return reply.json()


def _differences(name: str, config: Any) -> str:
    """Where the served model's configuration is another's, in words; "" where it fits or cannot be read here."""
    from transformers import AutoConfig

    with suppress(OSError, ValueError):
        theirs = AutoConfig.from_pretrained(name, local_files_only=True)
        pairs = {key: (getattr(theirs, key, None), getattr(config, key, None)) for key in SHAPE}
        return ", ".join(f"{key} {its}, ours {ours}" for key, (its, ours) in pairs.items() if its != ours)
    return ""


def _refused(url: str, what: str, remedy: str) -> InputError:
    return InputError(f"the server at {url} {what}", field="rl.vllm_server", remedy=remedy)
