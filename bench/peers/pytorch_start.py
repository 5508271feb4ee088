#!/usr/bin/env python3
"""PyTorch's side of the comparison with `elbo train MNIST --steps 1`: imports torch, reads MNIST,
builds the model and performs one training step. The caller times the whole process.
"""

import argparse

import torch
from common import LEARNING_RATE, MODELS, load_images
from models import make_vae, scaled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="784-400-z20")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data", required=True, help="folder with MNIST's training images")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spec = MODELS[options.model]
    data = scaled(load_images(options.data, spec), spec)
    model = make_vae(spec)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    loss = model(data[torch.randperm(len(data))[: options.batch]])
    loss.backward()
    optimizer.step()
    print(f"PyTorch {torch.__version__}: {loss.item():.3f} nats")


if __name__ == "__main__":
    main()
