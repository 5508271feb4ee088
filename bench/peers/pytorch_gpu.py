#!/usr/bin/env python3
"""PyTorch's side of the comparison on a GPU, in the modes that a user of PyTorch would try: from
the VAE example as it is shipped to a whole step that is compiled and captured as one CUDA graph.

All modes but `example` keep the data on the device as scaled floats, gather a batch by indexing and
use fused Adam. The step times do not include compiling, warming up, scaling the data and drawing
the order of the batches, which is in PyTorch's favour.
"""

import platform

import numpy as np
import torch
from torch import Tensor, nn

from common import (
    LEARNING_RATE,
    MODELS,
    NEEDS_A_GPU,
    give_up,
    load_images,
    parse_arguments,
    run_peer,
)
from models import VAE, dequantized, load_weights, make_vae, scaled
from pytorch_example import ExampleTraining

MODES = {
    "example": "PyTorch's VAE example: DataLoader, default Adam, loss.item() at every step",
    "eager": "data on the device, fused Adam",
    "compile": "loss and gradients by torch.compile",
    "compile-reduce-overhead": "the same in that mode of torch.compile",
    "compile-max-autotune": "the same in that mode of torch.compile",
    "compile-optimizer": "as compile-reduce-overhead, the optimizer's step compiled as well",
    "graph": "the eager step, gather to Adam, as one CUDA graph",
    "compile-graph": "the same with loss and gradients compiled",
}
ON_A_CPU = ("example", "eager", "compile")
KEPT = 10  # one loss of each ten is kept, the sixth, as a log would do
WARM_UP = 10  # steps; compiled modes capture their own graphs in the first three


class BatchLoss(nn.Module):
    """The loss on some rows of the data. The data are a buffer of the module, so that a compiled
    module with its own CUDA graphs reads them in place instead of copying them like an input."""

    def __init__(self, model: VAE, data: Tensor, bf16: bool):
        super().__init__()
        self.model = model
        self.bf16 = bf16
        self.register_buffer("data", data)

    def forward(self, index: Tensor) -> Tensor:
        x = self.data[index]
        if self.model.gaussian:
            x = dequantized(x)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return self.model(x)


class Training:
    """The eager step, and the code that all modes share."""

    def __init__(self, options, images: np.ndarray, fused_adam: bool = True):
        spec = MODELS[options.model]
        self.device = options.device
        torch.manual_seed(options.seed)
        self.model = make_vae(spec, options.iwae)
        if options.initial_weights:
            load_weights(self.model, options.initial_weights)
        self.model.to(self.device, memory_format=torch.channels_last)
        self.initial = [p.detach().clone() for p in self.model.parameters()]
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=LEARNING_RATE,
            fused=fused_adam,
            capturable=self.device == "cuda",
        )
        data = scaled(images, spec, self.device)
        self.loss_of = BatchLoss(self.model, data, options.precision == "bf16")
        self.order = torch.zeros(options.steps, options.batch, dtype=torch.long, device=self.device)

    def train_on(self, index: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss_of(index)
        loss.backward()
        self.update()
        return loss.detach()

    def update(self) -> None:
        self.optimizer.step()

    def step(self, number: int) -> Tensor:
        return self.train_on(self.order[number])

    def prepare(self) -> None:
        for _ in range(WARM_UP):
            self.step(0)

    def start_round(self, seed: int, order: np.ndarray) -> None:
        torch.manual_seed(seed)
        self.block_steps = order.shape[1]
        rows = torch.from_numpy(order).flatten(0, 1)
        self.order[: len(rows)].copy_(rows)
        with torch.no_grad():  # in place, because a captured graph contains these addresses
            for parameter, initial in zip(self.model.parameters(), self.initial, strict=True):
                parameter.copy_(initial)
            for state in self.optimizer.state.values():
                for tensor in state.values():
                    tensor.zero_()

    def run_block(self, number: int) -> list[Tensor]:
        kept = []
        first = number * self.block_steps
        for i in range(first, first + self.block_steps):
            loss = self.step(i)
            if i % KEPT == KEPT // 2:
                kept.append(loss.clone())
        return kept


class Compiled(Training):
    def __init__(self, options, images: np.ndarray, mode: str, optimizer_too: bool = False):
        super().__init__(options, images, fused_adam=not optimizer_too)  # Inductor fuses it itself
        self.loss_of = torch.compile(self.loss_of, mode=mode)
        if optimizer_too:
            self.update = torch.compile(self.update, mode=mode)

    def step(self, number: int) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return super().step(number)


class Captured:
    """The whole step of another mode as one CUDA graph. The step's number is on the device."""

    def __init__(self, training: Training):
        self.training = training
        self.number = torch.zeros(1, dtype=torch.long, device=training.device)
        self.graph = torch.cuda.CUDAGraph()

    def step(self) -> Tensor:
        index = self.training.order.index_select(0, self.number).squeeze(0)
        self.number.add_(1)
        return self.training.train_on(index)

    def prepare(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.training.optimizer.zero_grad()
        with torch.cuda.graph(self.graph):
            self.loss = self.step()

    def start_round(self, seed: int, order: np.ndarray) -> None:
        self.training.start_round(seed, order)
        self.number.zero_()

    def run_block(self, number: int) -> list[Tensor]:
        kept = []
        for i in range(self.training.block_steps):
            self.graph.replay()
            if i % KEPT == KEPT // 2:
                kept.append(self.loss.clone())
        return kept


class PyTorchPeer:
    """Adapts a mode of training to the protocol Peer (see common.py)."""

    def __init__(self, options, training):
        self.cuda = options.device == "cuda"
        self.side = f"PyTorch {torch.__version__}, {options.mode}"
        self.device = (
            torch.cuda.get_device_name(0)
            if self.cuda
            else f"CPU, {torch.get_num_threads()} threads"
        )
        self.versions = {"python": platform.python_version(), "torch": torch.__version__}
        if self.cuda:
            self.versions["cuda"] = torch.version.cuda
        self.prepare = training.prepare
        self.start_round = training.start_round
        self.run_block = training.run_block

    def synchronize(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def to_list(self, losses: list[Tensor] | list[float]) -> list[float]:
        return [float(loss) for loss in losses]

    def peak_memory_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self.cuda else None


def make_training(options, images: np.ndarray):
    mode = options.mode
    if mode == "example":
        return ExampleTraining(options, images)
    if mode == "eager":
        return Training(options, images)
    if mode == "graph":
        return Captured(Training(options, images))
    if mode == "compile-graph":
        return Captured(Compiled(options, images, "default"))
    if mode == "compile-optimizer":
        return Compiled(options, images, "reduce-overhead", optimizer_too=True)
    return Compiled(options, images, mode.removeprefix("compile").removeprefix("-") or "default")


def main() -> None:
    options = parse_arguments(__doc__, MODES)
    if options.device == "cpu" and options.mode not in ON_A_CPU:
        others = ", ".join(ON_A_CPU)
        give_up(f"mode {options.mode} needs a GPU; on a CPU there are {others}", NEEDS_A_GPU)
    if options.device == "cuda" and not torch.cuda.is_available():
        give_up("PyTorch finds no GPU here; --device cpu tries the script without", NEEDS_A_GPU)
    torch.backends.cuda.matmul.allow_tf32 = options.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = options.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    images = load_images(options.data, MODELS[options.model])
    run_peer(PyTorchPeer(options, make_training(options, images)), options, len(images))


if __name__ == "__main__":
    main()
