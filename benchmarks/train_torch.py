"""Training in PyTorch: the usual loop, on tensors in memory, channels last."""

from contextlib import nullcontext

import torch
from torch import nn

from benchmarks.peers_torch import NETWORKS
from benchmarks.task import Task, Work, versions


def float32(work: Work) -> Task:
    return training(work, NETWORKS[work.network](work.shape, work.classes))


def bfloat16(work: Work) -> Task:
    network = NETWORKS[work.network](work.shape, work.classes)
    return training(work, network, autocast=True)


def compiled(work: Work) -> Task:
    network = NETWORKS[work.network](work.shape, work.classes)
    return training(work, network, autocast=True, compiled=True)


def training(
    work: Work, network: nn.Module, *, autocast: bool = False, compiled: bool = False
) -> Task:
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    facts = {
        "precision": "bfloat16" if autocast else "float32",
        "threads": torch.get_num_threads(),
        "parameters": parameters(network),
        "versions": versions("torch"),
    }
    height, width, channels = work.shape
    count = work.steps * work.batch
    torch.manual_seed(0)
    images = torch.randn(count, channels, height, width)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(work.classes, (count,))
    optimizer = torch.optim.Adam(network.parameters())
    loss_function = nn.CrossEntropyLoss()
    forward = torch.compile(network) if compiled else network

    def run() -> None:
        for x, y in zip(images.split(work.batch), labels.split(work.batch), strict=True):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                loss = loss_function(forward(x), y)
            loss.backward()
            optimizer.step()
            loss.item()

    return Task(run, facts)


def parameters(network: nn.Module) -> int:
    """The number of weights and moving statistics, as Keras counts them."""
    tensors = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())
