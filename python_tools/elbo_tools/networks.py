"""The twin's networks, built from the layers of torch.nn.

A network is an nn.Sequential. A layer that is in the checkpoint has its number in the checkpoint as
its name. Other modules (activations, conversions between maps and vectors) have a name that
describes them.

Feature maps are [rows, channels, height, width] here, as in PyTorch, and [rows, height, width,
channels] in the engine. The difference matters when a map is converted to or from a vector
(Flatten, MapLinear), and for the weights of convolutions, which `in_checkpoint` permutes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

NETWORKS = ("dense", "conv")
DOWNSAMPLINGS = ("strided", "average")
UPSAMPLINGS = ("transposed", "nearest", "bilinear")
NORMALIZATIONS = ("none", "group")

NORM_GROUPS = 8  # the maximum number of groups
FIRST_CHANNELS, MOST_CHANNELS, SMALLEST_MAP = 32, 256, 5  # used if no channels are configured


class Activation(nn.Module):
    """An activation function. A model uses one instance, so one hook sees every pre-activation."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Map(NamedTuple):
    channels: int
    height: int
    width: int


class Flatten(nn.Module):
    """Converts maps [rows, C, H, W] to vectors [rows, H*W*C], the order of the engine's maps."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.movedim(1, -1).flatten(1)


class MapLinear(nn.Linear):
    """A dense layer [rows, width] -> [rows, C, H, W] whose outputs are in the engine's order."""

    def __init__(self, width: int, out: Map):
        super().__init__(width, math.prod(out))
        self.pixels = (out.height, out.width, out.channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unflatten(1, self.pixels).movedim(-1, 1)


def group_norm(channels: int, most_groups: int = NORM_GROUPS) -> nn.GroupNorm:
    """Returns a GroupNorm with the largest number of groups, up to most_groups, that divides the
    channels."""
    groups = max(n for n in range(1, most_groups + 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


class ResidualBlock(nn.Module):
    """A pre-activation residual block [rows, before, H, W] -> [rows, channels, H, W].

    He et al. 2016, "Identity mappings in deep residual networks".
    """

    def __init__(
        self, before: int, channels: int, activation: nn.Module, groups: int = NORM_GROUPS
    ):
        super().__init__()
        self.norm1 = group_norm(before, groups)
        self.conv1 = nn.Conv2d(before, channels, 3, padding=1)
        self.norm2 = group_norm(channels, groups)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Identity() if before == channels else nn.Conv2d(before, channels, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(self.activation(self.norm1(x)))
        return self.skip(x) + self.conv2(self.activation(self.norm2(h)))


@dataclass(frozen=True)
class Picture:
    """The layout of a row of data as a map."""

    map: Map
    planar: bool  # stored plane by plane, [channels, height, width]

    def to_map(self, rows: Tensor) -> Tensor:
        """Converts data [rows, D] to maps [rows, C, H, W]."""
        if self.planar:
            return rows.unflatten(1, self.map)
        channels, height, width = self.map
        return rows.unflatten(1, (height, width, channels)).movedim(-1, 1)

    def to_rows(self, maps: Tensor) -> Tensor:
        """Converts maps [rows, P*C, H, W] to rows [rows, P*D]: one block per parameter, each in the
        order of the data."""
        if self.planar:
            return maps.flatten(1)
        return maps.unflatten(1, (-1, self.map.channels)).movedim(2, -1).flatten(1)


def picture_of(shape: tuple[int, ...]) -> Picture:
    """Returns the layout of a row with shape [h, w], [1 or 3, h, w] or [h, w, 1 or 3].

    A vector is read as the rectangle nearest to a square. Raises ValueError for other shapes.
    """
    if len(shape) == 1:
        height = max(n for n in range(1, math.isqrt(shape[0]) + 1) if shape[0] % n == 0)
        shape = (height, shape[0] // height)
    if len(shape) == 2:
        return Picture(Map(1, *shape), planar=False)
    if len(shape) == 3 and shape[0] in (1, 3):
        return Picture(Map(*shape), planar=True)
    if len(shape) == 3 and shape[2] in (1, 3):
        return Picture(Map(shape[2], *shape[:2]), planar=False)
    raise ValueError(f"network conv: rows of shape {list(shape)} are no pictures")


class Layers:
    """A network under construction, and the shape of its output for one row."""

    def __init__(self, shape: tuple[int, ...], activation: Activation):
        self.network = nn.Sequential()
        self.shape = tuple(shape)
        self.activation = activation
        self.number = 0

    def add(self, layer: nn.Module) -> None:
        """Appends a layer under the next number."""
        self._append(str(self.number), layer)
        self.number += 1

    def _append(self, name: str, module: nn.Module) -> None:
        self.network.add_module(name, module)
        with torch.no_grad():
            self.shape = tuple(module(torch.zeros(1, *self.shape)).shape[1:])

    def _help(self, module: nn.Module) -> None:
        self._append(f"{len(self.network)}_{type(module).__name__.lower()}", module)

    def activate(self) -> None:
        self._help(self.activation)

    def flatten(self) -> None:
        if len(self.shape) == 3:
            self._help(Flatten())

    def dense(self, width: int) -> None:
        self.flatten()
        self.add(nn.Linear(self.shape[0], width))


class Stages:
    """Builds the parts of a stage from a model's settings (twin.VAEConfig)."""

    def __init__(self, config, layers: Layers):
        self.config, self.layers = config, layers
        self.kernel = config.kernel_size
        self.bare = config.residual_blocks == 0 and config.normalization == "none"

    def keeping(self, channels: int) -> nn.Conv2d:
        """Returns a convolution that preserves height and width (its kernel size is odd)."""
        odd = self.kernel - (self.kernel + 1) % 2
        return nn.Conv2d(self.layers.shape[0], channels, odd, padding=odd // 2)

    def activate_bare(self) -> None:
        """Appends the activation of a stage without norms, which comes before any pooling."""
        if self.bare:
            self.layers.activate()

    def halve(self, channels: int) -> None:
        if self.config.downsampling == "average":
            self.layers.add(self.keeping(channels))
            self.activate_bare()
            self.layers.add(nn.AvgPool2d(2))
        else:
            padding = (self.kernel - 1) // 2
            before = self.layers.shape[0]
            self.layers.add(nn.Conv2d(before, channels, self.kernel, stride=2, padding=padding))
            self.activate_bare()

    def doubling(self, wide: Map) -> nn.Module:
        """Returns the convolution whose output has the size and channels of `wide`.

        If the stage resamples, first appends the nn.Upsample layer, and raises ValueError if `wide`
        is not exactly twice the current size.
        """
        before, *narrow = self.layers.shape
        if self.config.upsampling != "transposed":
            if [wide.height, wide.width] != [2 * size for size in narrow]:
                got = f"{narrow[0]} x {narrow[1]} to {wide.height} x {wide.width}"
                raise ValueError(f"upsampling {self.config.upsampling}: {got} is not twice")
            # align_corners is an error with nearest; with bilinear its default, false, is correct.
            self.layers.add(nn.Upsample(scale_factor=2, mode=self.config.upsampling))
            return self.keeping(wide.channels)
        more = [large - 2 * small + self.kernel % 2 for large, small in zip(wide[1:], narrow)]
        return nn.ConvTranspose2d(
            *(before, wide.channels, self.kernel),
            stride=2,
            padding=(self.kernel - 1) // 2,
            output_padding=more,
        )

    def norm(self) -> None:
        self.layers.add(group_norm(self.layers.shape[0]))
        self.layers.activate()

    def end_stage(self) -> None:
        channels = self.layers.shape[0]
        for _ in range(self.config.residual_blocks):
            self.layers.add(ResidualBlock(channels, channels, self.layers.activation))
        if self.config.residual_blocks == 0 and not self.bare:
            self.norm()

    def end(self) -> None:
        """Appends the norm and activation after the last stage, which residual blocks lack."""
        if self.config.residual_blocks:
            self.norm()


def stage_maps(config) -> list[Map]:
    """Returns the map of the data, followed by the output map of each stage.

    Raises ValueError if there are more configured stages than the map can be halved.
    """
    maps = [picture_of(config.shape).map]
    rounds_up = config.downsampling == "strided" and config.kernel_size % 2 == 1

    def halved(channels: int) -> Map:
        return Map(channels, *((size + rounds_up) // 2 for size in maps[-1][1:]))

    channels = FIRST_CHANNELS
    while not config.channels and max(maps[-1][1:]) > SMALLEST_MAP and min(halved(1)) > 0:
        maps.append(halved(channels))
        channels = min(2 * channels, MOST_CHANNELS)
    for channels in config.channels:
        maps.append(halved(channels))
        if min(maps[-1]) < 1:
            raise ValueError(f"channels: {len(config.channels)} stages are too many for {maps[0]}")
    return maps


def encoder(config, activation: Activation) -> tuple[nn.Sequential, int]:
    """Returns the network from data to the input of the posterior, and the width of that input.

    The network reads [rows, D], or maps [rows, C, H, W] if it is conv, and returns [rows, width].
    """
    if config.network == "conv":
        maps = stage_maps(config)
        layers = Layers(maps[0], activation)
        stages = Stages(config, layers)
        for channels, *_ in maps[1:]:
            stages.halve(channels)
            stages.end_stage()
        if maps[1:]:
            stages.end()
    else:
        layers = Layers((config.dim,), activation)
    for width in config.hidden:
        layers.dense(width)
        layers.activate()
    layers.flatten()
    return layers.network, layers.shape[0]


def decoder(config, activation: Activation, outputs: int) -> tuple[nn.Sequential, nn.Module]:
    """Returns the network from codes [rows, latent] to the output layer's input, and that layer.

    The output layer computes `outputs` numbers per element of the data: [rows, outputs * D], or
    maps [rows, outputs * C, H, W] if the network is conv.
    """
    layers = Layers((config.latent_dim,), activation)
    for width in reversed(config.hidden):
        layers.dense(width)
        layers.activate()
    if config.network == "dense":
        return layers.network, nn.Linear(layers.shape[0], outputs * config.dim)
    data, *maps = stage_maps(config)
    out = data._replace(channels=outputs * data.channels)
    if not maps:
        return layers.network, MapLinear(layers.shape[0], out)
    stages = Stages(config, layers)
    layers.add(MapLinear(layers.shape[0], maps[-1]))
    stages.activate_bare()
    stages.end_stage()
    for wide in reversed(maps[:-1]):
        layers.add(stages.doubling(wide))
        stages.activate_bare()
        stages.end_stage()
    stages.end()
    output = stages.doubling(out)
    return layers.network, output


def in_checkpoint(weight: Tensor) -> Tensor:
    """Converts a parameter, or its gradient, to the layout of a checkpoint: a convolution's weight
    [n, m, h, w] becomes [n, h, w, m]; other tensors are unchanged."""
    return weight.movedim(1, -1) if weight.ndim == 4 else weight


def from_checkpoint(weight: Tensor) -> Tensor:
    """Converts a parameter from the layout of a checkpoint to PyTorch's: the inverse of
    in_checkpoint."""
    return weight.movedim(-1, 1) if weight.ndim == 4 else weight
