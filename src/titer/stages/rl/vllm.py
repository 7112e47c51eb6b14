"""vLLM as TRL drives it: what is missing is said before the training, and a server's failure in one line.

check_engine(settings)                         # vLLM and a GPU
check_server(settings, loaded.model.config)    # a server that takes weights of this very shape
with answering(settings):
    trainer.train()
"""

from __future__ import annotations

import importlib.util
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from titer.errors import InputError
from titer.models.load import NO_CODE
from titer.recipe import Rl

START_S = 240.0
"""Seconds that a server may take to come up; TRL's own patience."""
TRLS_PORT = 51216
SHAPE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "head_dim",
    "intermediate_size",
    "moe_intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "num_experts",
    "num_local_experts",
)
"""The keys of a text model's configuration by which its weights fit another's."""
START = (
    'start it with VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --weight-transfer-config \'{"backend": "nccl"}\' '
    "--logprobs-mode processed_logprobs"
)

logger = logging.getLogger("titer")


def check_engine(settings: Rl) -> None:
    """Raises InputError where the settings ask for vLLM and this machine cannot have it."""
    if settings.generator != "vllm":
        return
    if importlib.util.find_spec("vllm") is None:
        raise InputError(
            "vLLM is not installed beside the trainer",
            field="rl.generator",
            remedy="install vllm in this environment, or use rl.generator=engine",
        )
    if not has_gpu():
        how = "a server gets its weights over NCCL" if settings.vllm_server else "vLLM shares the trainer's GPU"
        raise InputError(f"{how}, and there is no GPU here", field="rl.generator", remedy="use rl.generator=engine")


def check_server(settings: Rl, config: Any) -> None:
    """Raises InputError where the settings name a server that TRL cannot work with; `config` is the trained model's.

    A server is waited for as long as TRL would. That it serves a model of another shape is seen where its model's name
    can be read here; vLLM itself takes the weights of a model with fewer layers without a word.
    """
    if not settings.vllm_server:
        return
    import requests

    url = base_url(settings)
    _wait(url)
    try:
        served = _get(f"{url}/server_info?config_format=json")["vllm_config"]
        transfer, mode = served["weight_transfer_config"], served["model_config"]["logprobs_mode"]
        backend = transfer and transfer["backend"]
        model = _get(f"{url}/v1/models")["data"][0]
        name = model["root"] or model["id"]
    except requests.HTTPError as error:
        raise _refused(url, f"does not answer as TRL needs it ({error})", START) from error
    except (requests.RequestException, LookupError, TypeError) as error:
        raise _refused(url, "does not answer as vLLM does", START) from error
    if backend != "nccl":  # TRL knows no other
        raise _refused(url, f"takes weights by {backend}" if backend else "takes no weights", START)
    if mode != "processed_logprobs":
        # only those are the log p of what was sampled, with temperature and top_p; TRL weighs tokens by them
        raise _refused(url, f"gives {mode}", START)
    if differ := _differences(name, config):
        raise _refused(url, f"serves a model of another shape ({differ})", "serve the model that is trained")


def base_url(settings: Rl) -> str:
    """The server's address as TRL wants it, without `/v1`; "" without a server."""
    return (settings.vllm_server or "").rstrip("/").removesuffix("/v1")


def group_port() -> int:
    """The port at which trainer and server meet: TRL's, or a free one where that is taken, as by another training."""
    for port in (TRLS_PORT, 0):
        with socket.socket() as free, suppress(OSError):
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as vLLM binds it, soon after a training too
            free.bind(("", port))
            return int(free.getsockname()[1])
    return TRLS_PORT


def has_gpu() -> bool:
    """Whether TRL and vLLM find what they need."""
    import torch

    return torch.cuda.is_available()


@contextmanager
def answering(settings: Rl) -> Iterator[None]:
    """Turn what TRL raises when its server fails into an InputError."""
    if not settings.vllm_server:
        yield
        return
    try:
        yield
    except Exception as error:
        if not _is_of_server(error):
            raise
        raise InputError(
            f"the vLLM server at {settings.vllm_server} failed: {str(error)[:300]}",
            field="rl.vllm_server",
            remedy="see its log; started anew, it is gone on with from the last saved state",
        ) from error


def _is_of_server(error: Exception) -> bool:
    import requests
    from torch.distributed import DistError

    # TRL's client raises a plain Exception for an answer other than 200, vLLM a RuntimeError for one of NCCL's
    said = str(error).startswith(("Request failed: ", "NCCL error"))
    return said or isinstance(error, requests.RequestException | ConnectionError | DistError)


def _wait(url: str) -> None:
    import requests

    give_up = time.monotonic() + START_S
    waited = False
    while True:
        try:
            reply = requests.get(f"{url}/health", timeout=10)
            if reply.ok:
                return
            fault = f"status {reply.status_code}"
            if reply.status_code < 500:  # something is there, and it is no vLLM
                raise _refused(url, f"does not answer as vLLM does ({fault} at /health)", START)
        except requests.RequestException as error:
            fault = str(error)
        if time.monotonic() > give_up:
            raise _refused(url, f"is not there ({fault})", START)
        if not waited:
            logger.warning("waiting up to %.0f s for the server at %s", START_S, url)
            waited = True
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
        theirs = AutoConfig.from_pretrained(name, local_files_only=True, **NO_CODE)
        pairs = [(key, *(getattr(one.get_text_config(), key, None) for one in (theirs, config))) for key in SHAPE]
        # a tied head is sent once, as embeddings: a server that has a head of its own would keep it as it was
        pairs.append(("tie_word_embeddings", theirs.tie_word_embeddings, config.tie_word_embeddings))
        return ", ".join(f"{key} {its}, ours {ours}" for key, its, ours in pairs if its != ours)
    return ""


def _refused(url: str, what: str, remedy: str) -> InputError:
    return InputError(f"the server at {url} {what}", field="rl.vllm_server", remedy=remedy)
