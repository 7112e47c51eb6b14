"""Weights from TRL's trainer to vLLM without a GPU: NCCL's broadcast goes through vLLM's own TCP store instead.

A plugin of vLLM, so that the server's processes load it, and the trainer's main program
(`python titer_test_transport.py rl …`). What NCCL alone can do is replaced: the communicator and the CUDA streams. The
requests between TRL and the server, the packing, and how vLLM loads the weights stay theirs.
"""

from __future__ import annotations

import contextlib
from typing import Any


class TcpGroup:
    """What a weight transfer asks of NCCL."""

    def __init__(self, store_group: Any) -> None:
        self.group = store_group

    def broadcast(self, tensor: Any, src: int, stream: object = None) -> None:
        """Fill the tensor with that of rank `src`."""
        received = self.group.broadcast(tensor, src)
        if received is not tensor:
            tensor.copy_(received)

    def destroy(self) -> None:
        """End it."""


class Stream:
    """The one stream that a CPU has."""

    def synchronize(self) -> None:
        """Nothing is ever under way."""


def install() -> None:
    """Replace NCCL in this process."""
    import torch
    from vllm.distributed.utils import StatelessProcessGroup
    from vllm.distributed.weight_transfer import nccl_common, packed_tensor

    def connect(host: str, port: int, rank: int, world_size: int, device: object) -> TcpGroup:
        return TcpGroup(StatelessProcessGroup.create(host=host, port=port, rank=rank, world_size=world_size))

    nccl_common.stateless_init_process_group = connect
    packed_tensor._get_streams = lambda device, count: (Stream(),) * count
    torch.cuda.stream = lambda stream: contextlib.nullcontext()
    torch.accelerator.current_device_index = lambda: 0


def train() -> None:
    """titer's command line, in whose process TRL finds the transport above where it wants CUDA."""
    import torch
    from trl.generation.vllm_client import VLLMClient

    from titer.cli.main import main
    from titer.stages.rl import vllm

    install()
    vllm.has_gpu = lambda: True
    on_cuda = VLLMClient.init_communicator
    VLLMClient.init_communicator = lambda client, device: on_cuda(client, torch.device("cuda"))
    main()


if __name__ == "__main__":
    train()
