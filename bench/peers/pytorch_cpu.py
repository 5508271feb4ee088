#!/usr/bin/env python3
"""PyTorch's side of the CPU comparison: trains the same VAE.

Written in the usual style: the data in one float tensor, a new permutation per epoch, a batch by
indexing, an nn.Module, torch.optim.Adam; bf16 by autocast. Prints one JSON object like
`elbo_bench step`.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from torch import Tensor

from common import LEARNING_RATE, MODELS, load_images
from models import dequantized, load_weights, make_vae, scaled

BLOCK = 10  # steps per measurement, as in step_command.cpp


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
    parser.add_argument("--iwae", type=int, default=0, help="importance samples; 0: the elbo")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--adam", choices=("default", "fused"), default="default")
    parser.add_argument(
        "--data", help="folder with MNIST's files or a train.npy; else random bytes"
    )
    parser.add_argument("--initial-weights", help="safetensors file; else PyTorch's own weights")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    spec = MODELS[options.model]
    model = make_vae(spec, options.iwae)
    if options.initial_weights:
        load_weights(model, options.initial_weights)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=LEARNING_RATE, fused=True if options.adam == "fused" else None
    )
    stream = batches(scaled(load_images(options.data, spec), spec), options.batch)

    def step() -> Tensor:
        x = next(stream)
        if model.gaussian:
            x = dequantized(x)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            loss = model(x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    blocks = options.steps // BLOCK
    if blocks < 8:
        sys.exit(f"steps: got {options.steps}, expected {8 * BLOCK} or more")
    milliseconds, losses = [], []
    for _ in range(blocks):
        start = time.perf_counter()
        losses += [step() for _ in range(BLOCK)]
        milliseconds.append(1e3 * (time.perf_counter() - start) / BLOCK)
    quarter = losses[-(blocks * BLOCK // 4) :]
    result = {
        "side": f"PyTorch {torch.__version__}, {options.adam} Adam",
        "device": f"CPU, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}",
        "model": options.model,
        "batch": options.batch,
        "precision": options.precision,
        "iwae": options.iwae,
        "steps": blocks * BLOCK,
        "seed": options.seed,
        "step_ms": statistics.median(milliseconds),
        "final_loss": statistics.median(loss.item() for loss in quarter),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
