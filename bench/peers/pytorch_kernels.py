#!/usr/bin/env python3
"""The formulas of elbo's fused kernels as separate PyTorch operations, eager and compiled.

Times the rows of elbo_bench that are named on the command line, such as
likelihood_terms/gaussian/85599x784, if they have a counterpart here, and prints one JSON object:
microseconds by row. latent_backward reads its noise; elbo draws it again.

With --autograd, autograd computes the gradients, as in a usual training program, compiled or not;
latent/524288x32 is then latent_forward and latent_backward together.
"""

import argparse
import json
import math
import statistics
import time

import torch
import torch.nn.functional as F
from common import LEARNING_RATE, NEEDS_A_GPU, give_up
from torch import Tensor

DATA_ROWS = 60000


def latent_forward(head: Tensor) -> tuple[Tensor, Tensor]:
    """Returns z [rows, latent] and the KL term [rows]; `head` is mu and logvar side by side."""
    mu, logvar = head.chunk(2, dim=1)
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    return z, 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)


def latent_backward(head: Tensor, epsilon: Tensor, grad_z: Tensor) -> Tensor:
    """Returns the gradient, at the head, of sum(grad_z * z) plus the mean KL term."""
    mu, logvar = head.chunk(2, dim=1)
    scale = 1 / len(head)
    grad_mu = grad_z + scale * mu
    grad_logvar = 0.5 * (grad_z * torch.exp(0.5 * logvar) * epsilon + scale * (logvar.exp() - 1))
    return torch.cat((grad_mu, grad_logvar), dim=1)


def gaussian(x: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """Returns -log p of each row, and the gradient of the mean over the rows at the output."""
    mean, logvar = output.chunk(2, dim=1)
    scale = 1 / len(x)
    weighted = (x - mean) * torch.exp(-logvar)
    square = (x - mean) * weighted
    nll = 0.5 * (math.log(2 * math.pi) + logvar + square).sum(dim=1)
    return nll, torch.cat((-scale * weighted, 0.5 * scale * (1 - square)), dim=1)


def bernoulli(x: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    nll = (F.softplus(logit) - x * logit).sum(dim=1)
    return nll, (torch.sigmoid(logit) - x) / len(x)


def adam(weight: Tensor, grad: Tensor, first: Tensor, second: Tensor) -> None:
    """Updates the weights in place, with the bias correction of an early step."""
    step, b1, b2 = 10, 0.9, 0.999
    first.lerp_(grad, 1 - b1)
    second.mul_(b2).addcmul_(grad, grad, value=1 - b2)
    denominator = (second / (1 - b2**step)).sqrt_().add_(1e-8)
    weight.addcdiv_(first, denominator, value=-LEARNING_RATE / (1 - b1**step))


def gather_raw(data: Tensor, index: Tensor) -> Tensor:
    return data[index].float() / 255


def make(row: str, device: str):
    """Returns the function of a row and its arguments, or None if it has no counterpart here."""
    kernel, _, size = row.rpartition("/")
    sizes = [int(n) for n in size.split("x")] if size.replace("x", "").isdigit() else []

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, device=device)

    match kernel, sizes:
        case "latent_forward", [rows, latent]:
            return latent_forward, (normal(rows, 2 * latent),)
        case "latent_backward", [rows, latent]:
            noise = (normal(rows, latent), normal(rows, latent))
            return latent_backward, (normal(rows, 2 * latent), *noise)
        case "likelihood_terms/gaussian", [rows, columns]:
            x = torch.rand(rows, columns, device=device)
            return gaussian, (x, normal(rows, 2 * columns))
        case "likelihood_terms/bernoulli", [rows, columns]:
            x = torch.rand(rows, columns, device=device)
            return bernoulli, (x, normal(rows, columns))
        case "gather_batch/u8-raw", [rows, columns]:
            data = torch.randint(0, 256, (DATA_ROWS, columns), device=device, dtype=torch.uint8)
            return gather_raw, (data, torch.randint(0, DATA_ROWS, (rows,), device=device))
        case "optimizer_update/adam", [count]:
            moments = (torch.zeros(count, device=device), torch.zeros(count, device=device))
            return adam, (normal(count), normal(count), *moments)
    return None


def gaussian_nll(x: Tensor, output: Tensor) -> Tensor:
    mean, logvar = output.chunk(2, dim=1)
    return 0.5 * (math.log(2 * math.pi) + logvar + (x - mean) ** 2 * torch.exp(-logvar)).sum(dim=1)


def bernoulli_nll(x: Tensor, logit: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logit, x, reduction="none").sum(dim=1)


def make_differentiable(row: str, device: str):
    """Returns the formula of a row, its arguments, and the derivative of the loss with respect to
    each of its results. Autograd then computes the gradient at the last argument."""
    kernel, _, size = row.rpartition("/")
    rows, columns = (int(n) for n in size.split("x"))
    mean = torch.full((rows,), 1 / rows, device=device)  # the loss is the mean over the rows

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, requires_grad=True)

    match kernel:
        case "latent":
            grad_z = torch.randn(rows, columns, device=device)
            return latent_forward, (leaf(rows, 2 * columns),), (grad_z, mean)
        case "likelihood_terms/gaussian":
            x = torch.rand(rows, columns, device=device)
            return gaussian_nll, (x, leaf(rows, 2 * columns)), mean
        case "likelihood_terms/bernoulli":
            x = torch.rand(rows, columns, device=device)
            return bernoulli_nll, (x, leaf(rows, columns)), mean
    return None


def with_gradient(formula, by_results):
    """Returns a function that evaluates a formula and returns its gradient."""

    def run(*arguments: Tensor) -> Tensor:
        return torch.autograd.grad(formula(*arguments), arguments[-1], by_results)[0]

    return run


def microseconds(function, arguments: tuple[Tensor, ...], blocks: int, runs: int) -> float:
    """Returns the median time of a run, over blocks of runs between two synchronisations."""

    def synchronize() -> None:
        if arguments[0].is_cuda:
            torch.cuda.synchronize()

    for _ in range(min(3, runs)):
        function(*arguments)
    times = []
    for _ in range(blocks):
        synchronize()
        start = time.perf_counter()
        for _ in range(runs):
            function(*arguments)
        synchronize()
        times.append(1e6 * (time.perf_counter() - start) / runs)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--autograd", action="store_true", help="gradients by autograd")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--blocks", type=int, default=9, help="measurements")
    parser.add_argument("--runs", type=int, default=10, help="runs of a measurement")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device == "cuda" and not torch.cuda.is_available():
        give_up("PyTorch finds no GPU here; --device cpu tries the script without", NEEDS_A_GPU)
    rows = {}
    for row in options.rows:
        made = (make_differentiable if options.autograd else make)(row, options.device)
        if not made:
            continue
        formula, arguments, *by_results = made
        for way in ("eager", "inductor"):
            # Compiling the formula compiles its gradient, too.
            function = torch.compile(formula, dynamic=False) if way == "inductor" else formula
            if options.autograd:
                function = with_gradient(function, *by_results)
            time_us = microseconds(function, arguments, options.blocks, options.runs)
            rows.setdefault(row, {})[f"{way}_us"] = time_us
    print(json.dumps({"torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
