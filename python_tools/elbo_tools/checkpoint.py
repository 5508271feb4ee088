"""Loads an elbo checkpoint as NumPy arrays, or as a PyTorch module of the trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike

import numpy as np
from safetensors import SafetensorError, safe_open

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

FORMAT = "elbo-checkpoint"
VERSION = "2"
OPTIMIZER_PREFIX = "optimizer."


@dataclass(frozen=True)
class Checkpoint:
    arrays: dict[str, np.ndarray]  # parameters by name
    optimizer: dict[str, dict[str, np.ndarray]]  # "first_moment", "second_moment" -> name -> array
    config: dict[str, object]  # the run's resolved configuration, keys as on the command line
    data_shape: tuple[int, ...]  # of one row of data, e.g. (28, 28)
    step: int
    epoch: int

    @property
    def dim(self) -> int:
        return math.prod(self.data_shape)

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the encoder's hidden layers."""
        return self.integers("hidden")

    def integers(self, key: str) -> tuple[int, ...]:
        """Returns a setting that is a list of integers, stored as a list or as text ("512,256").

        Returns () if the setting is missing or empty. Raises ValueError if an item is no integer.
        """
        return parse_ints(self.config.get(key, ""))


def parse_ints(value: str | list[int]) -> tuple[int, ...]:
    items = value.split(",") if isinstance(value, str) else value
    return tuple(int(item) for item in items if str(item).strip())


def load_checkpoint(path: str | PathLike) -> Checkpoint:
    """Loads a .safetensors checkpoint written by elbo.

    Raises ValueError if the file is not in the safetensors format, or not a checkpoint of this
    format and version.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from None
    found = (metadata.get("format"), metadata.get("version"))
    if found != (FORMAT, VERSION):
        raise ValueError(f"{path}: got format {found}, expected {(FORMAT, VERSION)}")

    arrays, optimizer = {}, {}
    for name, tensor in tensors.items():
        if name.startswith(OPTIMIZER_PREFIX):
            moment, _, parameter = name.removeprefix(OPTIMIZER_PREFIX).partition(".")
            optimizer.setdefault(moment, {})[parameter] = tensor
        else:
            arrays[name] = tensor
    return Checkpoint(
        arrays=arrays,
        optimizer=optimizer,
        config=tomllib.loads(metadata["config"]),
        data_shape=parse_ints(metadata["data_shape"]),
        step=int(metadata["step"]),
        epoch=int(metadata["epoch"]),
    )


def to_torch(path: str | PathLike):
    """Loads a checkpoint as an elbo_tools.twin.VAE with its weights, in evaluation mode.

    Needs torch. Raises ValueError if load_checkpoint does, or if the model is not a plain VAE: a
    Gaussian bottleneck and a likelihood, without classifier and discriminator. Raises RuntimeError
    if the checkpoint's parameters do not match the model.
    """
    import torch

    from elbo_tools.twin import VAE, VAEConfig

    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    parts = {key: config[key] for key in ("bottleneck", "likelihood", "classifier", "discriminator")}
    if parts["bottleneck"] != "gaussian" or parts["likelihood"] == "none":
        raise ValueError(f"{path}: not a variational autoencoder, but {parts}")
    if parts["classifier"] != "none" or parts["discriminator"] != "none":
        raise ValueError(f"{path}: a variational autoencoder with more parts than that: {parts}")
    model = VAE(
        VAEConfig(
            shape=checkpoint.data_shape,
            latent_dim=int(config["latent-dim"]),
            hidden=checkpoint.hidden,
            activation=config["activation"],
            likelihood=config["likelihood"],
            samples=int(config.get("samples", 1)),
            beta=float(config.get("beta", 1.0)),
            posterior_variance=config.get("posterior-variance", "input"),
            mse_variance=float(config.get("mse-variance", 1.0)),
            objective=config.get("objective", "elbo"),
            network=config.get("network", "dense"),
            channels=checkpoint.integers("channels"),
            kernel_size=int(config.get("kernel-size", 4)),
            downsampling=config.get("downsampling", "strided"),
            upsampling=config.get("upsampling", "transposed"),
            normalization=config.get("normalization", "none"),
            residual_blocks=int(config.get("residual-blocks", 0)),
        )
    )
    tensors = {name: torch.from_numpy(array) for name, array in checkpoint.arrays.items()}
    model.load_checkpoint_state(tensors)
    return model.eval()
