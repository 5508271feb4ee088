"""The VAE of the PyTorch peers, its data and its loss."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import ModelSpec, read_safetensors


class VAE(nn.Module):
    """Parameters are named as in an elbo checkpoint, so that both sides can start alike.

    Calling it gives the training loss in nats, mean over the batch: the negative evidence lower
    bound, or with K = importance_samples > 0 the negative bound of Burda et al. (2016).
    """

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
        """Mean and log-variance of q(z|x), [batch, latent] each, in float32 under autocast too."""
        for layer in self.encoder:
            x = self.activation(layer(x))
        return self.posterior(x).float().chunk(2, dim=-1)

    def decode(self, z: Tensor) -> Tensor:
        for layer in self.decoder:
            z = self.activation(layer(z))
        return self.likelihood(z).float()

    def nll(self, output: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) of every element."""
        if self.gaussian:
            mean, logvar = output.chunk(2, dim=-1)
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
        shape = (self.importance_samples, *mu.shape)
        epsilon = torch.randn(shape, device=mu.device)
        z = mu + torch.exp(0.5 * logvar) * epsilon
        log_p_x = -self.nll(self.decode(z), x).sum(dim=-1)
        log_p_z_over_q = 0.5 * (epsilon**2 + logvar - z**2).sum(dim=-1)
        bound = torch.logsumexp(log_p_x + log_p_z_over_q, dim=0) - math.log(shape[0])
        return -bound.mean()


def load_weights(model: VAE, path: str) -> None:
    tensors = read_safetensors(path)
    model.load_state_dict({name: torch.from_numpy(tensors[name]) for name in model.state_dict()})


def scaled(images: np.ndarray, spec: ModelSpec, device: str = "cpu") -> Tensor:
    """The data as floats in [0, 1), or in [0, 1] where the likelihood is Bernoulli."""
    floats = torch.from_numpy(images).to(device).float()
    return floats.div_(256 if spec.likelihood == "gaussian" else 255)


def dequantized(x: Tensor) -> Tensor:
    """x plus noise that fills the gap to the next of 256 values."""
    return x + torch.rand_like(x) / 256
