"""The engine's variational autoencoder in PyTorch: an independent implementation of the same model.

`checkpoint_state` returns the parameters with the names and shapes of an elbo checkpoint. The noise
is always an argument: given the same epsilon, the engine and the twin compute the same numbers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elbo_tools import networks

LOG_VARIANCE_LIMIT = 16.0
LOG_SCALE_LIMIT = 10.0
LIKELIHOODS = (
    *("gaussian", "gaussian-shared", "gaussian-channel", "mse", "bernoulli"),
    "discretized-logistic",
)
POSTERIOR_VARIANCES = ("input", "shared")
OBJECTIVES = ("elbo", "iwae")


def softplus(x: Tensor) -> Tensor:
    # PyTorch's default threshold, 20, has an error of 2e-9; at 40 it is below a double's ulp.
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
    "clip": lambda x: F.hardtanh(x, 0.0, 1.0),
    "exponential": torch.exp,
}


@dataclass(frozen=True)
class VAEConfig:
    """The settings of the model. The decoder mirrors the encoder.

    Raises ValueError if a setting has an unknown name as its value.
    """

    shape: tuple[int, ...]  # of a row of data
    latent_dim: int
    hidden: tuple[int, ...] = ()
    activation: str = "relu"
    likelihood: str = "gaussian"
    samples: int = 1
    beta: float = 1.0
    posterior_variance: str = "input"  # "shared": one log-variance per latent for all inputs
    mse_variance: float = 1.0
    objective: str = "elbo"  # "iwae": the importance-weighted bound of Burda et al. 2016
    network: str = "dense"  # "conv": downsampling stages, then the hidden layers
    channels: tuple[int, ...] = ()  # of each stage; (): halve until no side exceeds 5 pixels
    kernel_size: int = 4
    downsampling: str = "strided"
    upsampling: str = "transposed"
    normalization: str = "none"
    residual_blocks: int = 0  # in each stage

    @property
    def dim(self) -> int:
        return math.prod(self.shape)

    @property
    def picture(self) -> networks.Picture | None:
        """The layout of a row for network conv; None for network dense."""
        return networks.picture_of(self.shape) if self.network == "conv" else None

    def __post_init__(self):
        for field, valid in (
            ("activation", tuple(ACTIVATIONS)),
            ("likelihood", LIKELIHOODS),
            ("posterior_variance", POSTERIOR_VARIANCES),
            ("objective", OBJECTIVES),
            ("network", networks.NETWORKS),
            ("downsampling", networks.DOWNSAMPLINGS),
            ("upsampling", networks.UPSAMPLINGS),
            ("normalization", networks.NORMALIZATIONS),
        ):
            value = getattr(self, field)
            if value not in valid:
                raise ValueError(f"{field}: got '{value}', expected one of {', '.join(valid)}")


class Evidence(NamedTuple):
    """The result of a forward pass: B inputs, L samples each; row b*L+l is sample l of input b."""

    nll: Tensor  # [B*L] -log p(x|z), nats
    kl: Tensor  # [B] KL(q(z|x) || N(0, I)), nats
    loss: Tensor  # [] mean over inputs of mean_l(nll) + beta * kl, or of minus the IWAE bound
    posterior_mean: Tensor  # [B, latent]
    posterior_logvar: Tensor  # [B, latent], clamped
    output: Tensor  # [B*L, P*D] parameters of the likelihood


def clamp_log_variance(log_variance: Tensor) -> Tensor:
    """Clamps to +-LOG_VARIANCE_LIMIT. The gradient is 1 inside the limits and 0 outside."""
    return log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)


def gaussian_nll(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Returns -log N(x; mean, exp(log_variance)) per element, in nats. Clamps log_variance."""
    log_variance = clamp_log_variance(log_variance)
    return 0.5 * (math.log(2 * math.pi) + log_variance + (x - mean) ** 2 * torch.exp(-log_variance))


def mse_nll(x: Tensor, mean: Tensor, variance: float) -> Tensor:
    """Returns -log N(x; mean, variance) per element, in nats, with a fixed variance."""
    return 0.5 * (math.log(2 * math.pi * variance) + (x - mean) ** 2 / variance)


def bernoulli_nll(x: Tensor, logit: Tensor) -> Tensor:
    """Returns softplus(logit) - x * logit per element, in nats, for x in [0, 1]."""
    return F.binary_cross_entropy_with_logits(logit, x, reduction="none")


def discretized_logistic_nll(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Returns -log P(x) per element, in nats, for x in {0, 1/255, .., 1}.

    P(x) is the mass of a logistic distribution between the midpoints to the neighbouring values.
    The bins of 0 and 1 extend to infinity on their outer side.
    """
    scale = log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT).exp()
    half = 1 / 510
    upper, lower = (x + half - mean) / scale, (x - half - mean) / scale
    between = F.logsigmoid(upper) + F.logsigmoid(-lower)
    between = between + torch.log(-torch.expm1(lower - upper))
    inner = torch.where(x > 1 - half, F.logsigmoid(-lower), between)
    return -torch.where(x < half, F.logsigmoid(upper), inner)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Returns KL(N(mean, exp(log_variance)) || N(0, 1)) per element, in nats."""
    return 0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance)


def log_weights(z: Tensor, mean: Tensor, log_variance: Tensor, samples: int, beta: float) -> Tensor:
    """Returns beta * (log p(z) - log q(z|x)) [B*L] per sample, from the densities.

    z [B*L, latent]; mean and log_variance [B, latent]; samples is L.
    """
    prior = torch.distributions.Normal(0.0, 1.0)
    posterior = torch.distributions.Normal(
        mean.repeat_interleave(samples, 0), torch.exp(0.5 * log_variance).repeat_interleave(samples, 0)
    )
    return beta * (prior.log_prob(z) - posterior.log_prob(z)).sum(dim=1)


class Posterior(nn.Linear):
    """The layer that computes the mean and log-variance of q(z|x): [rows, width] -> [rows, latent].

    Its weight contains the rows of the means, then (posterior variance "input") of the
    log-variances.
    """

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


class Likelihood(nn.Module):
    """The output layer, which computes the parameters of p(x|z), and the distribution p(x|z)."""

    def __init__(self, layer: nn.Module, config: VAEConfig):
        super().__init__()
        self.layer = layer
        self.picture = config.picture
        self.kind = config.likelihood
        self.mse_variance = config.mse_variance
        self.shape = config.shape
        if self.kind == "gaussian-shared":
            self.log_variance = nn.Parameter(torch.zeros(1))
        if self.kind == "gaussian-channel":
            self.log_variance = nn.Parameter(torch.zeros(self.colours()))

    def planar(self) -> bool:
        return self.shape[0] in (1, 3)

    def colours(self) -> int:
        if len(self.shape) < 3:
            return 1
        return self.shape[0] if self.planar() else self.shape[2]

    def element_log_variance(self) -> Tensor:
        """Returns the log-variance of every element of a row [D], which depends on its channel.

        Rows with fewer than three dimensions have a single log-variance [1].
        """
        if len(self.shape) < 3:
            return self.log_variance
        channels = self.log_variance.view(-1, 1, 1) if self.planar() else self.log_variance
        return channels.expand(self.shape).flatten()

    def forward(self, hidden: Tensor) -> Tensor:
        output = self.layer(hidden)
        return self.picture.to_rows(output) if self.picture else output

    def nll(self, x: Tensor, output: Tensor) -> Tensor:
        """Returns -log p(x|z) [rows], in nats, for x [rows, D] and output [rows, P*D]."""
        if self.kind == "gaussian":
            elements = gaussian_nll(x, *output.chunk(2, dim=1))
        elif self.kind == "gaussian-shared":
            elements = gaussian_nll(x, output, self.log_variance)
        elif self.kind == "gaussian-channel":
            elements = gaussian_nll(x, output, self.element_log_variance())
        elif self.kind == "discretized-logistic":
            elements = discretized_logistic_nll(x, *output.chunk(2, dim=1))
        elif self.kind == "mse":
            elements = mse_nll(x, output, self.mse_variance)
        else:
            elements = bernoulli_nll(x, output)
        return elements.sum(dim=1)

    def expectation(self, output: Tensor) -> Tensor:
        """Returns E[x|z] [rows, D], the image to show, for output [rows, P*D]."""
        if self.kind == "gaussian":
            return output.chunk(2, dim=1)[0]
        if self.kind == "discretized-logistic":  # accurate if most of the mass is in [0, 1]
            return output.chunk(2, dim=1)[0].clamp(0, 1)
        return torch.sigmoid(output) if self.kind == "bernoulli" else output


def in_checkpoint(name: str) -> str:
    """Returns a parameter's name in a checkpoint."""
    return name.replace("likelihood.layer.", "likelihood.")


class VAE(nn.Module):
    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        activation = networks.Activation(ACTIVATIONS[config.activation])
        outputs = 2 if config.likelihood in ("gaussian", "discretized-logistic") else 1
        self.encoder, width = networks.encoder(config, activation)
        self.posterior = Posterior(width, config)
        self.decoder, output_layer = networks.decoder(config, activation, outputs)
        self.likelihood = Likelihood(output_layer, config)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and log-variance of q(z|x), [B, latent] each, for rows x [B, D]."""
        picture = self.config.picture
        return self.posterior(self.encoder(picture.to_map(x) if picture else x))

    def decode(self, z: Tensor) -> Tensor:
        """Returns the parameters of p(x|z) [rows, P*D] for codes z [rows, latent].

        likelihood.expectation converts them to images.
        """
        return self.likelihood(self.decoder(z))

    def forward(self, x: Tensor, epsilon: Tensor) -> Evidence:
        """Computes the loss and its parts for x [B, D] and standard normal noise epsilon.

        epsilon is [B*L, latent]; row b*L+l is sample l of input b.
        """
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

    def checkpoint_state(self) -> dict[str, Tensor]:
        """Returns the parameters by name, in the names, order and layout of a checkpoint."""
        return {name: networks.in_checkpoint(p.detach()) for name, p in self._checkpoint_items()}

    def checkpoint_gradients(self) -> dict[str, Tensor]:
        """Returns the gradients of the parameters, with the keys of checkpoint_state."""
        return {name: networks.in_checkpoint(p.grad) for name, p in self._checkpoint_items()}

    def load_checkpoint_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Sets the parameters from a checkpoint's tensors.

        Raises RuntimeError, naming the parameters, if any are missing, unknown or of another shape.
        """
        names = {in_checkpoint(name): name for name, _ in self.named_parameters()}
        self.load_state_dict(
            {names.get(n, n): networks.from_checkpoint(tensor) for n, tensor in tensors.items()}
        )

    def _checkpoint_items(self) -> list[tuple[str, nn.Parameter]]:
        """Returns the parameters in the engine's order: the likelihood's variance comes last."""
        items = [(in_checkpoint(name), p) for name, p in self.named_parameters()]
        return sorted(items, key=lambda item: item[0] == "likelihood.log_variance")
