"""Formulas and their derivatives, per element, at numerically difficult points."""

import numpy as np
import torch
from torch import Tensor

from elbo_tools import twin


def points(*axes) -> list[Tensor]:
    """Returns every combination of the axes' values, one flat tensor per axis: float32 values
    stored as float64 leaves."""
    axes = [torch.tensor(axis, dtype=torch.float32).double() for axis in axes]
    return [grid.flatten().requires_grad_() for grid in torch.meshgrid(*axes, indexing="ij")]


def tabulate(prefix: str, inputs: dict[str, Tensor], value_name: str, value: Tensor) -> dict:
    """Returns the arrays prefix.<input> (F32), prefix.<value_name> (F64) and prefix.grad_<input>
    (F64) of an elementwise value. The input named x is data and has no gradient."""
    table = {f"{prefix}.{name}": tensor.detach().float() for name, tensor in inputs.items()}
    table[f"{prefix}.{value_name}"] = value.detach()
    variables = {name: tensor for name, tensor in inputs.items() if name != "x"}
    gradients = torch.autograd.grad(value.sum(), list(variables.values()))
    for name, gradient in zip(variables, gradients, strict=True):
        table[f"{prefix}.grad_{name}"] = gradient
    return {name: tensor.numpy() for name, tensor in table.items()}


# The float32 neighbours of the clamp's limits. The limits themselves are not tested: PyTorch's
# gradient there was 1 in earlier releases and is 0 in later ones.
INSIDE, OUTSIDE = (float(np.nextafter(np.float32(16), np.float32(far))) for far in (0, 90))
LOG_VARIANCES = (-90, -17, -OUTSIDE, -INSIDE, -5, -0.5, 0, 0.5, 5, INSIDE, OUTSIDE, 17, 90)
LOG_SCALES = (-90, -11, -9.9, -6, -2.5, 0, 2, 9.9, 11)
MSE_VARIANCES = (1.0, 0.0625)


def likelihood_points() -> dict[str, np.ndarray]:
    x, mean, log_variance = points((-3, 0, 0.3, 1), (-100, -3, 0, 1e-4, 0.3, 100), LOG_VARIANCES)
    inputs = {"x": x, "mean": mean, "log_variance": log_variance}
    table = tabulate("gaussian", inputs, "nll", twin.gaussian_nll(**inputs))

    for variance in MSE_VARIANCES:
        x, mean = points((-3, 0, 0.3, 1), (-1e4, -3, 0, 1e-4, 0.3, 1e4))
        nll = twin.mse_nll(x, mean, variance)
        table |= tabulate(f"mse-{variance:g}", {"x": x, "mean": mean}, "nll", nll)

    logits = (-1e4, -90, -40, -17, -1, -1e-4, 0, 1e-4, 1, 17, 40, 90, 1e4)
    x, logit = points((0, 0.25, 1), logits)
    nll = twin.bernoulli_nll(x, logit)
    table |= tabulate("bernoulli", {"x": x, "logit": logit}, "nll", nll)

    bytes_ = [v / 255 for v in (0, 1, 100, 254, 255)]
    x, mean, log_scale = points(bytes_, (-3, 0, 1e-4, 0.39, 0.997, 1, 20), LOG_SCALES)
    inputs = {"x": x, "mean": mean, "log_scale": log_scale}
    nll = twin.discretized_logistic_nll(**inputs)
    return table | tabulate("discretized-logistic", inputs, "nll", nll)


def activation_points() -> dict[str, np.ndarray]:
    table = {}
    for name, function in twin.ACTIVATIONS.items():
        far = () if name == "exponential" else (90, 1e4)  # exp would overflow a float
        (z,) = points((-1e4, -90, -40, -17, -3, -1, -1e-4, 0, 1e-4, 1, 3, 17, 40, *far))
        table |= tabulate(name, {"z": z}, "value", function(z))
    return table


def posterior_points() -> dict[str, np.ndarray]:
    """Returns the points of the KL term; its log-variance is clamped first, as in the model."""
    mean, log_variance = points((-100, -1, 0, 1e-4, 2), LOG_VARIANCES)
    kl = twin.gaussian_kl(mean, twin.clamp_log_variance(log_variance))
    return tabulate("gaussian", {"mean": mean, "log_variance": log_variance}, "kl", kl)
