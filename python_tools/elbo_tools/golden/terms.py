"""Counts the terms of the sums in a model's forward and backward pass. The tolerances of the tests
grow with the square root of that number."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from elbo_tools import twin
from elbo_tools.networks import Activation

# The points at which activations have no derivative.
KINKS = {"relu": (0.0,), "leaky-relu": (0.0,), "clip": (0.0, 1.0)}


def sums_of(layer: nn.Module, x: Tensor, y: Tensor) -> tuple[int, int, int]:
    """Returns the numbers of terms in the sums that compute an output element, the gradient of an
    input element, and the gradient of a parameter."""
    match layer:
        case nn.Linear():
            return layer.in_features, layer.out_features, len(x)
        case nn.Conv2d() | nn.ConvTranspose2d():
            taps = layer.kernel_size[0] * layer.kernel_size[1]
            there, back = layer.in_channels // layer.groups, layer.out_channels // layer.groups
            return taps * there, taps * back, y[:, 0].numel()
        case nn.GroupNorm():  # a mean and a variance forward, two means backward
            elements = y[0].numel() // layer.num_groups
            return 2 * elements, 2 * elements, y[:, 0].numel()
        case nn.AvgPool2d():
            return layer.kernel_size**2, 1, 0
        case nn.Upsample():
            copies = int(layer.scale_factor) ** 2
            return (4, 4 * copies, 0) if layer.mode == "bilinear" else (1, copies, 0)
        case Activation():  # roundings in the formula and its derivative, counted as terms
            return 4, 4, 0
    return 0, 0, 0


def count_terms(model: nn.Module, run: Callable[[], object]) -> int:
    """Returns the number of terms on the longest path of `run`, which applies the model: the
    forward and backward sums of every layer, and the largest sum over the batch."""
    ways, batches = [0], [0]

    def count(layer: nn.Module, arguments: tuple, y: Tensor) -> None:
        there, back, batch = sums_of(layer, arguments[0], y)
        ways.append(there + back)
        batches.append(batch)

    leaves = [module for module in model.modules() if not list(module.children())]
    handles = [layer.register_forward_hook(count) for layer in leaves]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return sum(ways) + max(batches)


def terms_of_vae(vae: twin.VAE, batch: int = 1) -> int:
    """Returns the number of terms on the path to the gradients, including nll's sum over the D
    elements of a row."""
    config, like = vae.config, next(vae.parameters())
    x = like.new_zeros(batch, config.dim)
    epsilon = like.new_zeros(batch * config.samples, config.latent_dim)
    return config.dim + count_terms(vae, lambda: vae(x, epsilon))
