#!/usr/bin/env python3
"""The other side of the CPU comparison: the same VAE, trained with PyTorch.

Written as one would write it: the data in one float tensor, a fresh permutation per epoch, a batch
by indexing, an nn.Module, torch.optim.Adam. Prints one JSON object like `elbo_bench step`.
"""

import argparse
import gzip
import json
import math
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

BLOCK = 10  # steps per measurement, as in step_command.cpp
MODELS = {
    "784-400-z20": {"hidden": (400,), "latent_dim": 20, "likelihood": "bernoulli"},
    "784-512-256-z32": {"hidden": (512, 256), "latent_dim": 32, "likelihood": "gaussian"},
}


class VAE(nn.Module):
    """Parameters are named as in an elbo checkpoint, so that both sides can start alike."""

    def __init__(self, hidden: tuple[int, ...], latent_dim: int, likelihood: str, dim: int = 784):
        super().__init__()
        outputs = 2 * dim if likelihood == "gaussian" else dim
        encoder = (dim, *hidden)
        decoder = (latent_dim, *reversed(hidden))
        self.encoder = nn.ModuleList(map(nn.Linear, encoder[:-1], encoder[1:]))
        self.posterior = nn.Linear(encoder[-1], 2 * latent_dim)
        self.decoder = nn.ModuleList(map(nn.Linear, decoder[:-1], decoder[1:]))
        self.likelihood = nn.Linear(decoder[-1], outputs)
        self.gaussian = likelihood == "gaussian"

    def forward(self, x: Tensor) -> Tensor:
        """Negative evidence lower bound, in nats, mean over the batch."""
        hidden = x
        for layer in self.encoder:
            hidden = F.relu(layer(hidden))
        mu, logvar = self.posterior(hidden).chunk(2, dim=1)
        hidden = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        for layer in self.decoder:
            hidden = F.relu(layer(hidden))
        output = self.likelihood(hidden)
        if self.gaussian:
            mean, logvar_x = output.chunk(2, dim=1)
            square = (x - mean) ** 2 * torch.exp(-logvar_x)
            nll = 0.5 * (math.log(2 * math.pi) + logvar_x + square).sum()
        else:
            nll = F.binary_cross_entropy_with_logits(output, x, reduction="sum")
        kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
        return (nll + kl) / len(x)


def load_images(folder: str | None) -> Tensor:
    """[rows, 784] uint8: MNIST's training images, a train.npy, or random bytes."""
    if folder is None:
        generator = torch.Generator().manual_seed(784)
        return torch.randint(0, 256, (60000, 784), dtype=torch.uint8, generator=generator)
    for name, opener in (
        ("train-images-idx3-ubyte.gz", gzip.open),
        ("train-images-idx3-ubyte", open),
    ):
        path = Path(folder) / name
        if path.exists():
            with opener(path, "rb") as file:
                pixels = np.frombuffer(file.read(), np.uint8, offset=16)
            return torch.from_numpy(pixels.reshape(-1, 784).copy())
    return torch.from_numpy(np.load(Path(folder) / "train.npy").reshape(-1, 784))


def batches(data: Tensor, batch_size: int):
    while True:
        for index in torch.randperm(len(data)).split(batch_size):
            yield data[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="784-400-z20")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--adam", choices=("default", "fused"), default="default")
    parser.add_argument(
        "--data", help="folder with MNIST's files or a train.npy; else random bytes"
    )
    parser.add_argument("--initial-weights", help="safetensors file; else PyTorch's own weights")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = VAE(**MODELS[options.model])
    if options.initial_weights:
        tensors = load_file(options.initial_weights)
        model.load_state_dict({name: tensors[name] for name in model.state_dict()})
    optimizer = torch.optim.Adam(
        model.parameters(), lr=1e-4, fused=True if options.adam == "fused" else None
    )
    images = load_images(options.data).float()
    data = images / 256 if model.gaussian else images / 255
    stream = batches(data, options.batch)

    def step() -> Tensor:
        x = next(stream)
        if model.gaussian:
            x = x + torch.rand_like(x) / 256  # dequantised
        optimizer.zero_grad()
        loss = model(x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    blocks = options.steps // BLOCK
    if blocks < 8:
        sys.exit(f"steps: got {options.steps}, want {8 * BLOCK} or more")
    milliseconds, losses = [], []
    for _ in range(blocks):
        start = time.perf_counter()
        losses += [step() for _ in range(BLOCK)]
        milliseconds.append(1e3 * (time.perf_counter() - start) / BLOCK)
    quarter = losses[-(-3 * blocks // 4) * BLOCK :]
    result = {
        "side": f"PyTorch {torch.__version__}, {options.adam} Adam",
        "device": f"CPU, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}",
        "model": options.model,
        "batch": options.batch,
        "steps": blocks * BLOCK,
        "seed": options.seed,
        "step_ms": statistics.median(milliseconds),
        "final_loss": torch.stack(quarter).median().item(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
