"""Code that all peers share, whatever their framework: the models, the data, the command line and
the measurement.

A peer trains once and prints one JSON object with the keys of `elbo_bench step` and some more.
With --serve it reads commands from standard input, one per line, and answers each with one line of
JSON. It then compiles only once, although it takes turns with other sides.

    prepare     compile and warm up
    run SEED    start from the initial weights, train, report the result
"""

import argparse
import dataclasses
import gzip
import json
import math
import os
import statistics
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

LEARNING_RATE = 1e-4  # the same as in step_model.cpp
NEEDS_A_GPU = 3  # exit code
PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True)
class ModelSpec:
    dim: int
    hidden: tuple[int, ...]
    latent_dim: int
    activation: str  # relu or tanh
    likelihood: str  # bernoulli, or gaussian with a learned variance per element
    random_rows: int = 60000  # number of random rows if no data are given
    # For a convolutional model: size of its 3 x size x size pictures, and the channels of the
    # stages, each of which halves the picture.
    size: int = 0
    channels: tuple[int, ...] = ()

    @property
    def output_dim(self) -> int:
        return 2 * self.dim if self.likelihood == "gaussian" else self.dim


def convolutional(size: int, channels: tuple[int, ...]) -> ModelSpec:
    dim = 3 * size * size
    return ModelSpec(dim, (), 128, "relu", "gaussian", 16384, size=size, channels=channels)


MODELS = {
    "784-400-z20": ModelSpec(784, (400,), 20, "relu", "bernoulli"),
    "784-512-256-z32": ModelSpec(784, (512, 256), 32, "relu", "gaussian"),
    "784-200-200-z50": ModelSpec(784, (200, 200), 50, "tanh", "bernoulli"),
    "12288-4096-2048-z256": ModelSpec(12288, (4096, 2048), 256, "relu", "gaussian", 16384),
    "conv-32x32x3": convolutional(32, (32, 64, 128)),
    "conv-64x64x3": convolutional(64, (32, 64, 128, 256)),
    # To try programs; too small for measurements.
    "16-8-z2": ModelSpec(16, (8,), 2, "relu", "bernoulli", 512),
    "conv-8x8x3": dataclasses.replace(convolutional(8, (4, 8)), random_rows=512),
}


def give_up(message: str, code: int = 1) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(code)


def load_images(folder: str | None, spec: ModelSpec, split: str = "train") -> np.ndarray:
    """Returns images [rows, dim] uint8: a split ("train" or "test") of MNIST or of a .npy file in
    the folder; random bytes without a folder."""
    if folder is None:
        shape = (spec.random_rows, spec.dim)
        return np.random.default_rng(spec.dim).integers(0, 256, shape, dtype=np.uint8)
    idx = ("t10k" if split == "test" else split) + "-images-idx3-ubyte"
    for name, opener in ((f"{idx}.gz", gzip.open), (idx, open)):
        path = Path(folder) / name
        if path.exists():
            with opener(path, "rb") as file:
                images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
            break
    else:
        path = Path(folder) / f"{split}.npy"
        if not path.exists():
            give_up(f"data: '{folder}' has neither {idx}[.gz] nor {split}.npy")
        images = np.load(path)
        images = images.reshape(len(images), -1)
    if images.shape[1] != spec.dim or images.dtype != np.uint8:
        got = f"{images.shape[1]} x {images.dtype}"
        give_up(f"data: '{path}' has rows of {got}, the model wants {spec.dim} x uint8")
    return images.copy()


def read_safetensors(path: str) -> dict[str, np.ndarray]:
    """Returns the float32 tensors of a file by name. Reads checkpoints without another package."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    entries = json.loads(content[8 : 8 + length])
    tensors = {}
    for name, entry in entries.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(content[begin:end], "<f4").reshape(entry["shape"])
        tensors[name] = values.copy()
    return tensors


def batch_order(rows: int, batch: int, steps: int, seed: int) -> np.ndarray:
    """Returns the rows [steps, batch] of each step's batch: one permutation per epoch, without the
    last incomplete batch."""
    if batch > rows:
        give_up(f"batch: got {batch}, the data have {rows} rows")
    random = np.random.default_rng(seed)
    per_epoch = rows // batch
    epochs = [
        random.permutation(rows)[: per_epoch * batch].reshape(per_epoch, batch)
        for _ in range(math.ceil(steps / per_epoch))
    ]
    return np.concatenate(epochs)[:steps]


class Peer(Protocol):
    side: str  # name in tables
    device: str
    versions: dict[str, str]

    def prepare(self) -> None:
        """Compiles and warms up."""

    def start_round(self, seed: int, order: np.ndarray) -> None:
        """Restores the initial weights. `order` [blocks, steps, batch] contains indices of rows."""

    def run_block(self, number: int) -> Any:
        """Enqueues the steps of a block. Returns some of their losses, in the peer's own form."""

    def synchronize(self) -> None: ...

    def to_list(self, losses: Any) -> list[float]: ...

    def peak_memory_bytes(self) -> int | None: ...


# Steps between two synchronisations, and minimum number of steps per round. The same as in elbo's
# step_command.cpp.
BLOCK_STEPS = {"cuda": 100, "cpu": 10}
LEAST_STEPS = {"cuda": 100, "cpu": 80}


def measure(peer: Peer, options: argparse.Namespace, rows: int, seed: int) -> dict:
    size = BLOCK_STEPS[options.device]
    blocks = options.steps // size
    order = batch_order(rows, options.batch, blocks * size, seed)
    peer.start_round(seed, order.reshape(blocks, size, options.batch))
    peer.synchronize()
    milliseconds, losses = [], []
    for block in range(blocks):
        start = time.perf_counter()
        kept = peer.run_block(block)
        peer.synchronize()
        milliseconds.append(1e3 * (time.perf_counter() - start) / size)
        if 4 * block >= 3 * blocks:
            losses += peer.to_list(kept)
    memory = peer.peak_memory_bytes()
    return {
        "side": peer.side,
        "device": peer.device,
        "model": options.model,
        "batch": options.batch,
        "steps": blocks * size,
        "seed": seed,
        "step_ms": statistics.median(milliseconds),
        "final_loss": statistics.median(losses),
        "mode": options.mode,
        "precision": options.precision,
        "iwae": options.iwae,
        "versions": peer.versions,
        "peak_memory_mib": None if memory is None else round(memory / 2**20, 1),
    }


def parse_arguments(description: str, modes: dict[str, str]) -> argparse.Namespace:
    """Parses the command line of a peer on a GPU. `modes` maps names to descriptions."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="modes:\n" + "\n".join(f"  {name:24} {text}" for name, text in modes.items()),
    )
    parser.add_argument("--model", choices=MODELS, default="784-400-z20")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of order and noise")
    parser.add_argument("--mode", choices=modes, default=next(iter(modes)), metavar="MODE")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--iwae",
        type=int,
        default=0,
        metavar="K",
        help="train the importance-weighted bound of Burda et al. (2016) with K samples",
    )
    parser.add_argument(
        "--data", help="folder with MNIST's files or a train.npy; else random bytes"
    )
    parser.add_argument("--initial-weights", help="safetensors file; else the framework's own")
    parser.add_argument("--serve", action="store_true", help="obey commands of standard input")
    options = parser.parse_args()
    least = LEAST_STEPS[options.device]
    if options.steps < least:
        give_up(f"steps: got {options.steps}, expected {least} or more")
    return options


def run_peer(peer: Peer, options: argparse.Namespace, rows: int) -> None:
    # Only answers go to standard output: a framework's own messages go to standard error.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def prepare() -> dict:
        start = time.perf_counter()
        peer.prepare()
        peer.synchronize()
        return {"prepared_s": round(time.perf_counter() - start, 1)}

    if not options.serve:
        prepared = prepare()
        print(json.dumps(measure(peer, options, rows, options.seed) | prepared), file=answers)
        return
    for line in sys.stdin:
        match line.split():
            case ["prepare"]:
                answer = prepare()
            case ["run", seed]:
                answer = measure(peer, options, rows, int(seed))
            case _:
                give_up(f"command: got '{line.strip()}', expected 'prepare' or 'run SEED'")
        print(json.dumps(answer), file=answers)
