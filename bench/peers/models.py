"""The VAE of the PyTorch peers, its data and its loss."""

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import ModelSpec, give_up, read_safetensors


class VAE(nn.Module):
    """A VAE of dense layers. Its parameters are named as in an elbo checkpoint, so that both sides
    can start from the same weights.

    A call returns the training loss in nats, the mean over the batch: the negative evidence lower
    bound or, if K = importance_samples > 0, the negative bound of Burda et al. (2016).
    """

    parameter_axis = -1  # axis of the output that contains the means, then the log-variances

    def __init__(self, spec: ModelSpec, importance_samples: int = 0):
        super().__init__()
        encoder = (spec.dim, *spec.hidden)
        decoder = (spec.latent_dim, *reversed(spec.hidden))
        self.encoder = nn.ModuleList(map(nn.Linear, encoder[:-1], encoder[1:]))
        self.posterior = nn.Linear(encoder[-1], 2 * spec.latent_dim)
        self.decoder = nn.ModuleList(map(nn.Linear, decoder[:-1], decoder[1:]))
        self.likelihood = nn.Linear(decoder[-1], spec.output_dim)
        self.activation = {"relu": F.relu, "tanh": torch.tanh}[spec.activation]
        self.gaussian = spec.likelihood == "gaussian"
        self.importance_samples = importance_samples

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log-variance of q(z|x), [batch, latent] each, always in float32."""
        for layer in self.encoder:
            x = self.activation(layer(x))
        return self.posterior(x).float().chunk(2, dim=-1)

    def decode(self, z: Tensor) -> Tensor:
        for layer in self.decoder:
            z = self.activation(layer(z))
        return self.likelihood(z).float()

    def nll(self, output: Tensor, x: Tensor) -> Tensor:
        """Returns -log p(x|z) of each element."""
        if self.gaussian:
            mean, logvar = output.chunk(2, dim=self.parameter_axis)
            return 0.5 * (math.log(2 * math.pi) + logvar + (x - mean) ** 2 * torch.exp(-logvar))
        return F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none")

    def forward(self, x: Tensor) -> Tensor:
        if self.importance_samples:
            return self.importance_weighted(x)
        mu, logvar = self.encode(x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        nll = self.nll(self.decode(z), x).sum()
        kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
        return (nll + kl) / len(x)

    def importance_weighted(self, x: Tensor) -> Tensor:
        mu, logvar = self.encode(x)
        log_weights = self.log_weights(x, mu, logvar, self.importance_samples)
        bound = torch.logsumexp(log_weights, dim=0) - math.log(self.importance_samples)
        return -bound.mean()

    def log_weights(self, x: Tensor, mu: Tensor, logvar: Tensor, samples: int) -> Tensor:
        """Returns log p(x, z) / q(z|x) [samples, batch] for samples from q."""
        epsilon = torch.randn((samples, *mu.shape), device=mu.device)
        z = mu + torch.exp(0.5 * logvar) * epsilon
        log_p_x = -self.nll(self.decode(z), x).sum(dim=-1)
        log_p_z_over_q = 0.5 * (epsilon**2 + logvar - z**2).sum(dim=-1)
        return log_p_x + log_p_z_over_q

    def from_checkpoint(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the state_dict for the tensors of an elbo checkpoint."""
        return {name: tensors[name] for name in self.state_dict()}


class ConvVAE(VAE):
    """A VAE of convolutions that halve the picture and transposed convolutions that double it, with
    ReLU."""

    parameter_axis = 1

    def __init__(self, spec: ModelSpec):
        nn.Module.__init__(self)
        kernel = {"kernel_size": 4, "stride": 2, "padding": 1}
        channels = (3, *spec.channels)
        side = spec.size // 2 ** len(spec.channels)
        self.smallest = (channels[-1], side, side)
        features = math.prod(self.smallest)
        self.encoder = nn.ModuleList(nn.Conv2d(a, b, **kernel) for a, b in pairwise(channels))
        self.posterior = nn.Linear(features, 2 * spec.latent_dim)
        self.decoder = nn.ModuleList([nn.Linear(spec.latent_dim, features)])
        for before, after in pairwise(reversed(spec.channels)):
            self.decoder.append(nn.ConvTranspose2d(before, after, **kernel))
        self.likelihood = nn.ConvTranspose2d(channels[1], 2 * 3, **kernel)
        self.gaussian, self.importance_samples = True, 0

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.encoder:
            x = F.relu(layer(x))
        return self.posterior(x.flatten(1)).float().chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        dense, *layers = self.decoder
        x = F.relu(dense(z)).unflatten(1, self.smallest)
        for layer in layers:
            x = F.relu(layer(x))
        return self.likelihood(x).float()

    def from_checkpoint(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        state = super().from_checkpoint(tensors)
        for name, tensor in state.items():
            if tensor.ndim == 4:
                state[name] = tensor.permute(0, 3, 1, 2)
        # elbo flattens a feature map pixel by pixel, PyTorch flattens it channel by channel.
        channels, *pixels = self.smallest
        posterior = state["posterior.weight"].unflatten(1, (*pixels, channels))
        state["posterior.weight"] = posterior.movedim(3, 1).flatten(1)
        for name in ("decoder.0.weight", "decoder.0.bias"):
            state[name] = state[name].unflatten(0, (*pixels, channels)).movedim(2, 0).flatten(0, 2)
        return state


def make_vae(spec: ModelSpec, importance_samples: int = 0) -> VAE:
    if not spec.channels:
        return VAE(spec, importance_samples)
    if importance_samples:
        give_up("iwae: models of convolutions are trained on the evidence lower bound")
    return ConvVAE(spec)


def load_weights(model: VAE, path: str) -> None:
    """Loads the parameters of an elbo checkpoint, which have their channels last."""
    tensors = {name: torch.from_numpy(array) for name, array in read_safetensors(path).items()}
    model.load_state_dict(model.from_checkpoint(tensors))


def scaled(images: np.ndarray, spec: ModelSpec, device: str = "cpu") -> Tensor:
    """Returns the data as floats, in [0, 1] if the likelihood is Bernoulli, else in [0, 1): rows,
    or pictures [rows, 3, height, width] with the channels last in memory."""
    floats = torch.from_numpy(images).to(device).float()
    floats.div_(256 if spec.likelihood == "gaussian" else 255)
    return floats.view(-1, spec.size, spec.size, 3).permute(0, 3, 1, 2) if spec.channels else floats


def dequantized(x: Tensor) -> Tensor:
    """Returns x plus uniform noise in [0, 1/256), the distance between two grey values."""
    return x + torch.rand_like(x) / 256
