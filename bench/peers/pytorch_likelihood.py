#!/usr/bin/env python3
"""PyTorch's side of the comparison with `elbo_bench likelihood`: importance-sampled log p(x).

Evaluates one image after another. The samples of an image are processed in batches, whose size is
the fastest one in a warm-up. Prints one JSON object.
"""

import argparse
import json
import math
import time

import torch
from common import MODELS, load_images
from models import VAE, load_weights, make_vae, scaled
from torch import Tensor

CHUNKS = (100, 250, 500, 1000, 2500, 5000)  # samples of an image per batch


def log_likelihood(model: VAE, x: Tensor, samples: int, chunk: int) -> float:
    """Returns log p(x) of one image x [1, dim], in nats."""
    mu, logvar = model.encode(x)
    sizes = [min(chunk, samples - done) for done in range(0, samples, chunk)]
    weights = torch.cat([model.log_weights(x, mu, logvar, size) for size in sizes])
    return (torch.logsumexp(weights, dim=0) - math.log(samples)).item()


def seconds_of(model: VAE, images: Tensor, samples: int, chunk: int) -> tuple[float, float]:
    """Returns the time for all images, and the mean of their -log p(x)."""
    start = time.perf_counter()
    total = sum(log_likelihood(model, x, samples, chunk) for x in images.split(1))
    return time.perf_counter() - start, -total / len(images)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="784-200-200-z50")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--importance-samples", type=int, default=5000, help="of each image")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data", help="folder with MNIST's test images or a test.npy; else random")
    parser.add_argument("--initial-weights", help="safetensors file; else PyTorch's own weights")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    spec = MODELS[options.model]
    model = make_vae(spec)
    if options.initial_weights:
        load_weights(model, options.initial_weights)
    images = scaled(load_images(options.data, spec, "test")[: options.images], spec)

    samples = options.importance_samples
    tried = {
        chunk: min(seconds_of(model, images[:2], samples, chunk)[0] for _ in range(2))
        for chunk in CHUNKS
    }
    chunk = min(tried, key=tried.get)
    seconds, nll = seconds_of(model, images, samples, chunk)
    result = {
        "side": f"PyTorch {torch.__version__}, {chunk} samples in a batch",
        "model": options.model,
        "images": len(images),
        "importance_samples": samples,
        "nll": nll,
        "seconds": seconds,
        "decoder_rows_per_s": len(images) * samples / seconds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
