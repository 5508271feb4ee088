"""The engine's variational autoencoder in PyTorch: the same model, written independently.

Parameter names and shapes are those of an elbo checkpoint, so a state_dict maps one to one. The
noise is an argument, never drawn here: given the same epsilon both sides compute the same numbers.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOG_VARIANCE_LIMIT = 16.0
LIKELIHOODS = ("gaussian", "gaussian-shared", "mse", "bernoulli")
POSTERIOR_VARIANCES = ("input", "shared")
OBJECTIVES = ("elbo", "iwae")


def softplus(x: Tensor) -> Tensor:
    # PyTorch turns linear at 20, which is off by 2e-9; at 40 the difference is below double's ulp.
    return F.softplus(x, threshold=40)


ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": F.relu,
    "leaky-relu": F.leaky_relu,  # slope 0.01
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": F.elu,  # alpha 1
    "silu": F.silu,
    "softplus": softplus,
    "exponential": torch.exp,
}


@dataclass(frozen=True)
class VAEConfig:
    """What determines the model. The decoder's hidden layers mirror the encoder's."""

    dim: int
    latent_dim: int
    hidden: tuple[int, ...] = ()
    activation: str = "relu"
    likelihood: str = "gaussian"
    samples: int = 1
    beta: float = 1.0
    posterior_variance: str = "input"  # "shared": one log-variance per latent, whatever the input
    mse_variance: float = 1.0
    objective: str = "elbo"  # "iwae": the importance-weighted bound of Burda et al. 2016

    def __post_init__(self):
        for field, valid in (
            ("activation", tuple(ACTIVATIONS)),
            ("likelihood", LIKELIHOODS),
            ("posterior_variance", POSTERIOR_VARIANCES),
            ("objective", OBJECTIVES),
        ):
            value = getattr(self, field)
            if value not in valid:
                raise ValueError(f"{field}: got '{value}', want one of {', '.join(valid)}")


class Evidence(NamedTuple):
    """What one forward pass yields; B inputs, L samples each, row b*L+l belongs to input b."""

    nll: Tensor  # [B*L] -log p(x|z), nats
    kl: Tensor  # [B] KL(q(z|x) || N(0, I)), nats
    loss: Tensor  # [] mean over inputs of mean_l(nll) + beta * kl, or minus the weighted bound
    posterior_mean: Tensor  # [B, latent]
    posterior_logvar: Tensor  # [B, latent], clamped
    output: Tensor  # [B*L, P*D] parameters of the likelihood


def clamp_log_variance(log_variance: Tensor) -> Tensor:
    """Clamps to +-LOG_VARIANCE_LIMIT; the gradient is 1 inside and 0 outside."""
    return log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)


def gaussian_nll(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """-log N(x; mean, exp(log_variance)) of every element; log_variance is clamped first."""
    log_variance = clamp_log_variance(log_variance)
    return 0.5 * (math.log(2 * math.pi) + log_variance + (x - mean) ** 2 * torch.exp(-log_variance))


def mse_nll(x: Tensor, mean: Tensor, variance: float) -> Tensor:
    """-log N(x; mean, variance) of every element, the variance fixed."""
    return 0.5 * (math.log(2 * math.pi * variance) + (x - mean) ** 2 / variance)


def bernoulli_nll(x: Tensor, logit: Tensor) -> Tensor:
    """softplus(logit) - x * logit of every element, x in [0, 1]."""
    return F.binary_cross_entropy_with_logits(logit, x, reduction="none")


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of every element."""
    return 0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance)


def log_weights(z: Tensor, mean: Tensor, log_variance: Tensor, samples: int, beta: float) -> Tensor:
    """beta * (log p(z) - log q(z|x)) of every sample, from the densities."""
    prior = torch.distributions.Normal(0.0, 1.0)
    posterior = torch.distributions.Normal(
        mean.repeat_interleave(samples, 0), torch.exp(0.5 * log_variance).repeat_interleave(samples, 0)
    )
    return beta * (prior.log_prob(z) - posterior.log_prob(z)).sum(dim=1)


class Posterior(nn.Linear):
    """The head that gives q(z|x): rows for the means, then (variance "input") the log-variances."""

    def __init__(self, width: int, config: VAEConfig):
        per_input = config.posterior_variance == "input"
        super().__init__(width, config.latent_dim * (2 if per_input else 1))
        if not per_input:
            self.log_variance = nn.Parameter(torch.zeros(config.latent_dim))
        self.per_input = per_input

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        out = super().forward(hidden)
        if self.per_input:
            mean, log_variance = out.chunk(2, dim=1)
        else:
            mean, log_variance = out, self.log_variance.expand_as(out)
        return mean, clamp_log_variance(log_variance)


class Likelihood(nn.Linear):
    """The head that gives the parameters of p(x|z), and p(x|z) itself."""

    def __init__(self, width: int, config: VAEConfig):
        super().__init__(width, config.dim * (2 if config.likelihood == "gaussian" else 1))
        self.kind = config.likelihood
        self.mse_variance = config.mse_variance
        if self.kind == "gaussian-shared":
            self.log_variance = nn.Parameter(torch.zeros(1))

    def nll(self, x: Tensor, output: Tensor) -> Tensor:
        """-log p(x|z) of every row, in nats."""
        if self.kind == "gaussian":
            elements = gaussian_nll(x, *output.chunk(2, dim=1))
        elif self.kind == "gaussian-shared":
            elements = gaussian_nll(x, output, self.log_variance)
        elif self.kind == "mse":
            elements = mse_nll(x, output, self.mse_variance)
        else:
            elements = bernoulli_nll(x, output)
        return elements.sum(dim=1)

    def expectation(self, output: Tensor) -> Tensor:
        """E[x|z] [rows, D]: the picture to show."""
        if self.kind == "gaussian":
            return output.chunk(2, dim=1)[0]
        return torch.sigmoid(output) if self.kind == "bernoulli" else output


class VAE(nn.Module):
    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.activation = ACTIVATIONS[config.activation]
        encoder = (config.dim, *config.hidden)
        decoder = (config.latent_dim, *reversed(config.hidden))
        self.encoder = nn.ModuleList(map(nn.Linear, encoder[:-1], encoder[1:]))
        self.posterior = Posterior(encoder[-1], config)
        self.decoder = nn.ModuleList(map(nn.Linear, decoder[:-1], decoder[1:]))
        self.likelihood = Likelihood(decoder[-1], config)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), [B, latent] each."""
        for layer in self.encoder:
            x = self.activation(layer(x))
        return self.posterior(x)

    def decode(self, z: Tensor) -> Tensor:
        """Parameters of p(x|z), [rows, P*D]; likelihood.expectation turns them into pictures."""
        for layer in self.decoder:
            z = self.activation(layer(z))
        return self.likelihood(z)

    def forward(self, x: Tensor, epsilon: Tensor) -> Evidence:
        """x [B, D]; epsilon [B*L, latent], row b*L+l being sample l of input b."""
        samples = self.config.samples
        mean, log_variance = self.encode(x)
        scale = torch.exp(0.5 * log_variance)
        z = mean.repeat_interleave(samples, 0) + scale.repeat_interleave(samples, 0) * epsilon
        output = self.decode(z)
        nll = self.likelihood.nll(x.repeat_interleave(samples, 0), output)
        kl = gaussian_kl(mean, log_variance).sum(dim=1)
        if self.config.objective == "iwae":
            weights = log_weights(z, mean, log_variance, samples, self.config.beta) - nll
            bound = torch.logsumexp(weights.view(-1, samples), dim=1) - math.log(samples)
            return Evidence(nll, kl, -bound.mean(), mean, log_variance, output)
        loss = (nll.view(-1, samples).mean(dim=1) + self.config.beta * kl).mean()
        return Evidence(nll, kl, loss, mean, log_variance, output)
