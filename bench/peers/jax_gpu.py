#!/usr/bin/env python3
"""JAX's side of the comparison: trains the same VAE, with the steps in one jitted lax.scan whose
state is donated, the data on the device, and the Adam of optax if that is installed.

The step times do not include compiling, scaling the data and drawing the order of the batches,
which is in JAX's favour.
"""

import math
import os
import platform
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random

from common import (
    BLOCK_STEPS,
    LEARNING_RATE,
    MODELS,
    NEEDS_A_GPU,
    ModelSpec,
    give_up,
    load_images,
    parse_arguments,
    read_safetensors,
    run_peer,
)

try:
    import optax
except ImportError:
    optax = None

MODES = {
    "scan": "jit over lax.scan",
    "scan-unrolled": "the same, ten steps of the loop unrolled",
    "scan-graph": "as scan, XLA asked to run the loop as a CUDA graph",
}
UNROLLED = 10


def layers_of(spec: ModelSpec) -> dict[str, tuple[int, int]]:
    """Returns the widths (inputs, outputs) of each layer, named as in an elbo checkpoint."""
    encoder = (spec.dim, *spec.hidden)
    decoder = (spec.latent_dim, *reversed(spec.hidden))
    layers = {f"encoder.{i}": pair for i, pair in enumerate(pairwise(encoder))}
    layers["posterior"] = (encoder[-1], 2 * spec.latent_dim)
    layers |= {f"decoder.{i}": pair for i, pair in enumerate(pairwise(decoder))}
    return layers | {"likelihood": (decoder[-1], spec.output_dim)}


def initial_parameters(spec: ModelSpec, path: str | None, seed: int) -> dict:
    """Returns weights [inputs, outputs] and biases by layer."""
    generator = np.random.default_rng(seed)
    tensors = read_safetensors(path) if path else None
    parameters = {}
    for name, (inputs, outputs) in layers_of(spec).items():
        if tensors:
            weight, bias = tensors[f"{name}.weight"].T, tensors[f"{name}.bias"]
        else:
            limit = 1 / math.sqrt(inputs)
            weight = generator.uniform(-limit, limit, (inputs, outputs))
            bias = generator.uniform(-limit, limit, outputs)
        parameters[name] = {"w": weight.astype(np.float32), "b": bias.astype(np.float32)}
    return parameters


def make_loss(spec: ModelSpec, precision: str, importance_samples: int):
    """Returns loss(parameters, x, key): the negative bound in nats, mean over the batch."""
    dtype = jnp.bfloat16 if precision == "bf16" else jnp.float32
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[spec.activation]

    def dense(layer, x):
        return x.astype(dtype) @ layer["w"].astype(dtype) + layer["b"].astype(dtype)

    def mlp(parameters, part, head, x):
        for i in range(len(spec.hidden)):
            x = activation(dense(parameters[f"{part}.{i}"], x))
        return dense(parameters[head], x).astype(jnp.float32)

    def nll(output, x):
        if spec.likelihood == "gaussian":
            mean, logvar = jnp.split(output, 2, axis=-1)
            square = (x - mean) ** 2 * jnp.exp(-logvar)
            elements = 0.5 * (math.log(2 * math.pi) + logvar + square)
        else:
            elements = jax.nn.softplus(output) - x * output
        return elements.sum(axis=-1)

    def loss(parameters, x, key):
        mu, logvar = jnp.split(mlp(parameters, "encoder", "posterior", x), 2, axis=-1)
        samples = (importance_samples,) if importance_samples else ()
        epsilon = random.normal(key, (*samples, *mu.shape))
        z = mu + jnp.exp(0.5 * logvar) * epsilon
        cost = nll(mlp(parameters, "decoder", "likelihood", z), x)
        if not importance_samples:
            kl = -0.5 * (1 + logvar - mu**2 - jnp.exp(logvar)).sum(axis=-1)
            return (cost + kl).mean()
        log_weight = 0.5 * (epsilon**2 + logvar - z**2).sum(axis=-1) - cost
        bound = jax.scipy.special.logsumexp(log_weight, axis=0) - math.log(importance_samples)
        return -bound.mean()

    return loss


class AdamState(NamedTuple):
    count: Any
    first: Any
    second: Any


class Adam:
    """Adam with the interface of optax.adam, used if optax is not installed."""

    def __init__(self, rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8):
        self.rate, self.b1, self.b2, self.eps = rate, b1, b2, eps

    def init(self, parameters) -> AdamState:
        first, second = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
        return AdamState(jnp.zeros((), jnp.int32), first, second)

    def update(self, gradients, state: AdamState):
        b1, b2 = self.b1, self.b2
        count = state.count + 1
        first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.first, gradients)
        second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.second, gradients)

        def change(m, v):
            return -self.rate * m / (1 - b1**count) / (jnp.sqrt(v / (1 - b2**count)) + self.eps)

        return jax.tree.map(change, first, second), AdamState(count, first, second)


class JaxPeer:
    """Adapts training with JAX to the protocol Peer (see common.py)."""

    def __init__(self, device, options, images: np.ndarray):
        self.options, self.jax_device = options, device
        spec = MODELS[options.model]
        self.gaussian = spec.likelihood == "gaussian"
        scale = 256 if self.gaussian else 255
        self.data = jax.jit(lambda rows: rows.astype(np.float32) / scale)(images)
        self.initial = initial_parameters(spec, options.initial_weights, options.seed)
        self.loss = make_loss(spec, options.precision, options.iwae)
        self.adam = optax.adam(LEARNING_RATE) if optax else Adam(LEARNING_RATE)
        adam = f"optax {optax.__version__}" if optax else "own Adam"
        self.side = f"JAX {jax.__version__}, {adam}, {options.mode}"
        self.device = "CPU" if options.device == "cpu" else device.device_kind
        self.versions = {"python": platform.python_version(), "jax": jax.__version__}
        self.train = jax.jit(self.train_block, donate_argnums=0)

    def train_block(self, state, data, order):
        """Trains a block of steps; order [steps, batch]. Returns the new state and all losses."""

        def step(state, index):
            parameters, moments, key = state
            key, noise, dequantize = random.split(key, 3)
            x = data[index]
            if self.gaussian:
                x = x + random.uniform(dequantize, x.shape) / 256
            loss, gradients = jax.value_and_grad(self.loss)(parameters, x, noise)
            changes, moments = self.adam.update(gradients, moments)
            parameters = jax.tree.map(lambda p, c: p + c, parameters, changes)
            return (parameters, moments, key), loss

        unroll = UNROLLED if self.options.mode == "scan-unrolled" else 1
        return lax.scan(step, state, order, unroll=unroll)

    def start_round(self, seed: int, order: np.ndarray) -> None:
        parameters = jax.device_put(self.initial)
        self.state = (parameters, self.adam.init(parameters), random.key(seed))
        self.order = [jax.device_put(block.astype(np.int32)) for block in order]

    def prepare(self) -> None:
        shape = (1, BLOCK_STEPS[self.options.device], self.options.batch)
        self.start_round(1, np.zeros(shape))
        self.run_block(0)

    def run_block(self, number: int):
        self.state, losses = self.train(self.state, self.data, self.order[number])
        return losses

    def synchronize(self) -> None:
        jax.block_until_ready((self.state, self.data))

    def to_list(self, losses) -> list[float]:
        return np.asarray(losses).tolist()

    def peak_memory_bytes(self) -> int | None:
        statistics = self.jax_device.memory_stats()
        return statistics["peak_bytes_in_use"] if statistics else None


def main() -> None:
    options = parse_arguments(__doc__, MODES)
    # Other peers use the same GPU, so do not preallocate three quarters of its memory.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if options.mode == "scan-graph":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_enable_command_buffer=+WHILE"
    jax.config.update("jax_platforms", options.device)
    try:
        device = jax.devices()[0]
    except (RuntimeError, AssertionError):  # AssertionError if no CUDA plugin is installed
        give_up("JAX finds no GPU here; --device cpu tries the script without", NEEDS_A_GPU)
    precisions = {"fp32": "highest", "tf32": "tensorfloat32", "bf16": "default"}
    jax.config.update("jax_default_matmul_precision", precisions[options.precision])
    if MODELS[options.model].channels:
        give_up(f"model {options.model}: JAX's side has dense layers alone")
    images = load_images(options.data, MODELS[options.model])
    run_peer(JaxPeer(device, options, images), options, len(images))


if __name__ == "__main__":
    main()
