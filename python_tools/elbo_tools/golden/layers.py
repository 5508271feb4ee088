"""Golden cases of the engine's layers (host/nn/layers.hpp): the output and every gradient.

The metadata contains a JSON description under the case's name: the engine's settings and

    layer     name in the engine's list of layers     in    [height, width, channels]
    rows      rows of the batch, of which `active` are in the step
    made_by   activation that computes the layer's input; input and grad_input are before it
    times     number of times that the layer is applied, each time to its own output
    terms     see terms.py

The case's tensors are float32, with the channels of maps last:

    CASE.input [active, in] (before made_by); CASE.<parameter>; CASE.grad_y [active, out]
    CASE.y [active, out]; CASE.grad_input [active, in]; gradient.CASE.<parameter>
"""

import json
from itertools import count, cycle

import numpy as np
import torch
from torch import Tensor, nn

from elbo_tools import networks, twin
from elbo_tools.golden.terms import KINKS, count_terms

SMALLEST_KINK_DISTANCE = 1e-4  # pre-activations are of order 1, with an error of about 1e-6


def dense_cases():
    return {
        "vector": {"in": (1, 1, 7), "out": (1, 1, 5), "made_by": "sigmoid"},
        "map_to_vector": {"in": (3, 5, 2), "out": (1, 1, 4), "activation": "silu"},
        "vector_to_map": {"in": (1, 1, 3), "out": (2, 3, 5), "made_by": "silu"},
        "twice": {"in": (2, 1, 3), "out": (2, 1, 3), "activation": "tanh", "times": 2},
        "partial": {"in": (1, 1, 33), "out": (1, 1, 3), "rows": 5, "active": 2},
    }


def swept(sizes_of) -> dict[str, dict]:
    """Returns a case for every kernel size and stride; paddings, channels, groups and activations
    alternate. Each case has one row, because there are many cases."""
    paddings = cycle((0, 1, 2, 1))
    channels = cycle(((1, 3, 1), (3, 2, 1), (4, 2, 2), (4, 4, 4), (3, 5, 1), (2, 8, 2), (5, 1, 1)))
    activations, makers = cycle(twin.ACTIVATIONS), cycle(sorted(twin.ACTIVATIONS, reverse=True))
    cases = {}
    for kernel in (1, 2, 3, 4, 5):
        for stride in (1, 2, 3):
            before, after, groups = next(channels)
            sizes = sizes_of(kernel, stride)
            cases[f"k{kernel}_s{stride}"] = {
                **sizes,
                "rows": 1,
                "in": (*sizes["in"], before),
                "channels": after,
                "kernel": kernel,
                "stride": stride,
                "padding": next(paddings),
                "groups": groups,
                "activation": next(activations),
                "made_by": next(makers),
            }
    return cases


def extra(transposed: bool) -> dict[str, dict]:
    """Returns cases that the sweep does not cover."""
    pixel = {"in": (1, 1, 3) if transposed else (4, 4, 3), "kernel": 4}
    halving = {"kernel": 4, "stride": 2, "padding": 1, "rows": 7, "active": 3}
    return {
        "wide": {"in": (2, 3, 33), "channels": 2, "kernel": 2, "made_by": "relu"},
        "to_wide": {"in": (2, 3, 2), "channels": 33, "kernel": 2, "activation": "silu"},
        "depthwise": {"in": (2, 3, 33), "channels": 33, "kernel": 2, "groups": 33, "padding": 1},
        "one_pixel": pixel | {"channels": 7, "activation": "relu"},
        "twice": {"in": (4, 3, 3), "channels": 3, "padding": 1, "activation": "tanh", "times": 2},
        "partial": {"in": (3, 2, 3) if transposed else (5, 4, 3), "channels": 4} | halving,
    }


def convolution_cases():
    shapes = cycle(((5, 7), (7, 6), (6, 5)))
    return swept(lambda kernel, stride: {"in": next(shapes)}) | extra(transposed=False)


def transposed_cases():
    shapes = cycle(((3, 4), (2, 3), (4, 2)))

    def sizes(kernel, stride):
        if stride == 1:  # the map is not enlarged, so it must be large enough for the padding
            return {"in": (5, 4), "output_padding": (0, 0)}
        return {"in": next(shapes), "output_padding": ((kernel + 1) % stride, stride - 1)}

    return swept(sizes) | extra(transposed=True)


def resample_cases():
    cases = {}
    for resampling in ("nearest", "bilinear"):
        for factor in (2, 3):
            cases[f"{resampling}_{factor}"] = {"in": (3, 2, 3), "factor": factor} | {
                "resampling": resampling,
                "made_by": "tanh" if factor == 2 else "identity",
            }
    cases["nearest_pixel"] = {"in": (1, 1, 5), "resampling": "nearest", "factor": 2}
    cases["bilinear_row"] = {"in": (1, 4, 1), "resampling": "bilinear", "factor": 2}
    average = {"resampling": "average", "made_by": "silu"}
    cases["average_2"] = {"in": (4, 6, 3), "factor": 2} | average
    cases["average_2_remainder"] = {"in": (5, 7, 3), "factor": 2} | average
    cases["average_3_remainder"] = {"in": (5, 4, 7), "factor": 3} | average
    cases["partial"] = {"in": (4, 5, 2), "factor": 2, "rows": 5, "active": 1} | average
    return cases


def group_norm_cases():
    return {
        "one_group": {"in": (3, 4, 5), "groups": 1, "activation": "silu", "made_by": "tanh"},
        "some_groups": {"in": (4, 3, 6), "groups": 3, "activation": "tanh", "made_by": "softplus"},
        "per_channel": {"in": (5, 3, 4), "groups": 4},
        "one_pixel": {"in": (1, 1, 33), "groups": 3, "activation": "elu", "made_by": "silu"},
        "wide": {"in": (2, 1, 66), "groups": 2, "activation": "relu"},
        "twice": {"in": (3, 3, 4), "groups": 2, "activation": "sigmoid", "times": 2},
        "partial": {"in": (3, 2, 6), "groups": 2, "rows": 5, "active": 3},
    }


def residual_cases():
    # Every group has several channels; otherwise the norm would cancel the preceding bias.
    return {
        "same_channels": {"in": (3, 4, 6), "channels": 6, "norm_groups": 2, "activation": "silu"},
        "more_channels": {"in": (3, 2, 3), "channels": 10, "activation": "tanh"},
        "fewer_channels": {"in": (3, 3, 9), "channels": 4, "norm_groups": 2, "activation": "elu"},
        "twice": {"in": (2, 3, 4), "channels": 4, "norm_groups": 1, "times": 2} | {
            "activation": "softplus"
        },
        "partial": {"in": (3, 2, 4), "channels": 6, "norm_groups": 2, "rows": 4, "active": 2} | {
            "activation": "relu"
        },
    }


KINDS = {
    "dense": dense_cases,
    "convolution": convolution_cases,
    "transposed-convolution": transposed_cases,
    "resample": resample_cases,
    "group-norm": group_norm_cases,
    "residual-block": residual_cases,
}
DEFAULTS = {"rows": 2, "times": 1, "activation": "identity", "made_by": "identity"}
TAPS = {"kernel": 3, "stride": 1, "padding": 0, "groups": 1}
OWN_DEFAULTS = {
    "convolution": TAPS,
    "transposed-convolution": TAPS | {"output_padding": (0, 0)},
    "residual-block": {"norm_groups": 8},
}


def make_activation(name: str) -> networks.Activation:
    return networks.Activation(twin.ACTIVATIONS[name])


def make_module(case: dict) -> nn.Module:
    """Returns the layer with its activation, on maps with the channels first."""
    activation = make_activation(case["activation"])
    height, width, before = case["in"]
    match case["layer"]:
        case "dense":
            out = networks.Map(case["out"][2], *case["out"][:2])
            width = height * width * before
            layers = (networks.Flatten(), networks.MapLinear(width, out))
        case "convolution":
            sizes = {name: case[name] for name in ("stride", "padding", "groups")}
            layers = (nn.Conv2d(before, case["channels"], case["kernel"], **sizes),)
        case "transposed-convolution":
            sizes = {n: case[n] for n in ("stride", "padding", "groups", "output_padding")}
            layers = (nn.ConvTranspose2d(before, case["channels"], case["kernel"], **sizes),)
        case "resample" if case["resampling"] == "average":
            layers = (nn.AvgPool2d(case["factor"]),)
        case "resample":
            layers = (nn.Upsample(scale_factor=case["factor"], mode=case["resampling"]),)
        case "group-norm":
            layers = (nn.GroupNorm(case["groups"], before),)
        case "residual-block":
            groups = case["norm_groups"]
            return networks.ResidualBlock(before, case["channels"], activation, groups)
    return nn.Sequential(*layers, activation)


def parameter_name(name: str) -> str:
    """Returns the engine's name of a parameter of an nn.Sequential or a residual block."""
    number, _, rest = name.partition(".")
    return rest if number.isdigit() else name


def single(tensor: Tensor) -> Tensor:
    """Rounds to float32 values, stored as float64."""
    return tensor.float().double()


def draw(random: np.random.RandomState, *shape: int) -> Tensor:
    """Returns standard normal float32 values as float64.

    Uses RandomState, because NumPy guarantees that its stream will not change.
    """
    return torch.from_numpy(random.standard_normal(shape).astype(np.float32)).double()


def draw_parameters(module: nn.Module, random: np.random.RandomState) -> None:
    """Draws weights that preserve the scale of activations, biases other than 0, and scales of
    norms other than 1."""
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            value = draw(random, *parameter.shape)
            if parameter.ndim > 1:
                value *= parameter[0].numel() ** -0.5
            else:
                value = 0.25 * value + (isinstance(layer, nn.GroupNorm) and name == "weight")
            parameter.data = value.float().double()


def run_case(name: str, case: dict) -> tuple[dict[str, np.ndarray], dict]:
    """Returns the case's tensors, and its description with the terms.

    Uses the first seed for which no pre-activation is too close to a kink.
    """
    for seed in count(sum(map(ord, case["layer"] + name))):
        try:
            return run_drawn_case(name, case, np.random.RandomState(seed))
        except TooCloseToAKink:
            continue


class TooCloseToAKink(Exception):
    pass


def run_drawn_case(
    name: str, case: dict, random: np.random.RandomState
) -> tuple[dict[str, np.ndarray], dict]:
    module, made_by = make_module(case).double(), make_activation(case["made_by"])
    draw_parameters(module, random)
    height, width, channels = case["in"]
    pre = draw(random, case.get("active", case["rows"]), channels, height, width).requires_grad_()
    distances = [1.0]
    for kink in KINKS.get(case["activation"], ()):
        for part in module.modules():
            if isinstance(part, networks.Activation):
                part.register_forward_pre_hook(
                    lambda _, xs, kink=kink: distances.append((xs[0] - kink).abs().min().item())
                )

    def apply() -> Tensor:
        x = made_by(pre)
        for _ in range(case["times"]):
            x = module(x)
        return x

    y = apply()
    if min(distances) < SMALLEST_KINK_DISTANCE:
        raise TooCloseToAKink
    grad_y = draw(random, *y.shape)
    y.backward(grad_y)
    tensors = {"input": pre, "y": y, "grad_y": grad_y, "grad_input": pre.grad}
    tensors = {f"{name}.{key}": tensor.movedim(1, -1) for key, tensor in tensors.items()}
    for key, parameter in module.named_parameters():
        place = f"{name}.{parameter_name(key)}"
        tensors[place] = networks.in_checkpoint(parameter)
        tensors[f"gradient.{place}"] = networks.in_checkpoint(parameter.grad)
    arrays = {key: t.detach().float().contiguous().numpy() for key, t in tensors.items()}
    return arrays, case | {"terms": count_terms(nn.Sequential(made_by, module), apply)}


def run_cases(kind: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the tensors of all cases of a layer, and their descriptions."""
    tensors, descriptions = {}, {}
    for name, settings in KINDS[kind]().items():
        case = DEFAULTS | OWN_DEFAULTS.get(kind, {}) | settings | {"layer": kind}
        arrays, description = run_case(name, case)
        tensors |= arrays
        descriptions[name] = json.dumps(description, separators=(",", ":"))
    return tensors, descriptions
