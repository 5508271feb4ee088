"""Training cases: a tiny VAE, one batch, 20 steps. The package's docstring lists their tensors and
the conditions for a well-conditioned run."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elbo_tools import networks, twin
from elbo_tools.golden.terms import KINKS, terms_of_vae

STEPS = 20
ADAM_BETAS = (0.9, 0.999)
SMALLEST_ADAM_DENOMINATOR = 1e-3
SMALLEST_KINK_DISTANCE = 2e-5
LARGEST_EXPONENT = 2.0


@dataclass(frozen=True)
class Case:
    name: str
    model: twin.VAEConfig
    seed: int  # chosen such that check_conditioning accepts the run
    batch: int = 5
    optimizer: str = "adam"
    learning_rate: float = 1 / 128
    weight_decay: float = 0.0
    momentum: float = 0.0
    clip_norm: float = 0.0  # 0: no clipping
    epsilon: float = 1e-8
    second_moment_start: float = 0.0  # used by adam-epsilon-hat only
    loss_reduction: str = "mean"  # sum: a step uses the gradients in the file times the batch size
    stored: type = np.float64  # of the outputs; float32 adds half an ulp to the engine's error

    def metadata(self) -> dict[str, str]:
        """Returns every setting, and the number of terms in the longest chain of sums."""
        terms = terms_of_vae(twin.VAE(self.model), self.batch)
        values = {"steps": STEPS, "terms": terms} | vars(self) | vars(self.model)
        texts = {
            name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
        }
        return {name: text for name, text in texts.items() if name not in NO_SETTINGS}


NO_SETTINGS = ("name", "model", "seed", "stored")


def model(likelihood: str, activation: str, hidden: tuple[int, ...], **others) -> twin.VAEConfig:
    # The default sizes are odd, so that no vector width divides them.
    sizes = {"shape": (11,), "latent_dim": 3}
    return twin.VAEConfig(
        **(sizes | others), likelihood=likelihood, activation=activation, hidden=hidden
    )


CASES = (
    Case("gaussian_relu", model("gaussian", "relu", (9, 6)), seed=85),
    Case("gaussian_tanh", model("gaussian", "tanh", (7,), samples=3, beta=0.5), seed=2),
    Case(
        "gaussian_softplus_aligned",
        model("gaussian", "softplus", (16,), samples=2, shape=(16,), latent_dim=4),
        seed=49,
        batch=8,
    ),
    Case(
        "gaussian_shared_leaky_relu",
        model("gaussian-shared", "leaky-relu", (7,), samples=2),
        seed=3,
    ),
    Case(
        "gaussian_shared_ppca",
        model("gaussian-shared", "identity", (), posterior_variance="shared"),
        seed=1,
    ),
    Case("mse_silu", model("mse", "silu", (9, 6), samples=2, mse_variance=0.25), seed=22),
    Case(
        "mse_elu_shared_posterior",
        model("mse", "elu", (7,), samples=3, beta=0.5, posterior_variance="shared"),
        seed=1,
    ),
    Case("bernoulli_identity", model("bernoulli", "identity", (9, 6), samples=3), seed=3),
    Case("bernoulli_sigmoid", model("bernoulli", "sigmoid", (7,), samples=2, beta=0.5), seed=21),
    Case("bernoulli_exponential", model("bernoulli", "exponential", (7,)), seed=400),
    Case("bernoulli_linear", model("bernoulli", "identity", ()), seed=1),
    Case("bernoulli_clip", model("bernoulli", "clip", (9,), samples=2), seed=10),
    Case(
        "gaussian_channel_pixels",
        model("gaussian-channel", "tanh", (7,), samples=2, shape=(2, 3, 3)),
        seed=7,
    ),
    Case(
        "gaussian_channel_planes",
        model("gaussian-channel", "tanh", (7,), shape=(3, 2, 5)),
        seed=2,
    ),
    Case("gaussian_channel_vector", model("gaussian-channel", "identity", (7,)), seed=1),
    Case(
        "discretized_logistic",
        model("discretized-logistic", "tanh", (9, 6), samples=2, beta=0.5),
        seed=12,
    ),
    Case(
        "iwae_discretized_logistic",
        model("discretized-logistic", "tanh", (7,), shape=(4,), samples=3, objective="iwae"),
        seed=6,
    ),
    Case(
        "sgd_momentum",
        model("gaussian-shared", "tanh", (9, 6)),
        seed=1,
        optimizer="sgd",
        momentum=0.9,
    ),
    Case(
        "sgd_clipped",
        model("mse", "relu", (7,), samples=2),
        seed=1,
        optimizer="sgd",
        learning_rate=1 / 16,
        momentum=0.9,
        clip_norm=0.5,
    ),
    Case(
        "adamw",
        model("bernoulli", "silu", (9, 6), samples=2),
        seed=81,
        optimizer="adamw",
        weight_decay=0.01,
    ),
    Case("adagrad", model("gaussian-shared", "tanh", (7,)), seed=1, optimizer="adagrad"),
    Case("iwae", model("bernoulli", "tanh", (9, 6), samples=4, objective="iwae"), seed=87),
    Case(
        "iwae_shared_variances",
        model(
            *("gaussian-shared", "identity", (7,)),
            **{"samples": 2, "posterior_variance": "shared", "objective": "iwae"},
        ),
        seed=1,
    ),
    Case(
        "iwae_adam_epsilon_hat",
        model("bernoulli", "tanh", (7,), samples=3, objective="iwae"),
        seed=1,
        optimizer="adam-epsilon-hat",
        learning_rate=1 / 16,
        epsilon=1e-4,
        second_moment_start=1.0,
        loss_reduction="sum",
    ),
)


class AdamEpsilonHat(torch.optim.Optimizer):
    """Adam in the form at the end of section 2 of Kingma and Ba 2015: the bias corrections are in
    the step size, and epsilon is added to the uncorrected root of the second moment."""

    def __init__(self, parameters, lr: float, eps: float, second_moment_start: float):
        super().__init__(parameters, {"lr": lr, "eps": eps, "start": second_moment_start})

    @torch.no_grad()
    def step(self):
        beta1, beta2 = ADAM_BETAS
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["t"] = 0
                    state["m"] = torch.zeros_like(p)
                    state["v"] = torch.full_like(p, group["start"])
                state["t"] += 1
                state["m"] = beta1 * state["m"] + (1 - beta1) * p.grad
                state["v"] = beta2 * state["v"] + (1 - beta2) * p.grad**2
                rate = group["lr"] * math.sqrt(1 - beta2 ** state["t"]) / (1 - beta1 ** state["t"])
                p -= rate * state["m"] / (state["v"].sqrt() + group["eps"])


def draw_inputs(case: Case, vae: twin.VAE) -> dict[str, np.ndarray]:
    """Returns the float32 inputs: x [B, D], epsilon [steps, B*L, latent], initial.<parameter>.

    Uses RandomState, because NumPy guarantees that its stream will not change.
    """
    random = np.random.RandomState(case.seed)
    config, batch = case.model, case.batch
    if config.likelihood == "bernoulli":
        x = random.randint(0, 2, (batch, config.dim))
    elif config.likelihood == "discretized-logistic":
        x = random.randint(0, 256, (batch, config.dim)) / 255
    else:
        x = random.standard_normal((batch, config.dim))
    epsilon = random.standard_normal((STEPS, batch * config.samples, config.latent_dim))
    inputs = {"x": x, "epsilon": epsilon}
    for name, parameter in vae.checkpoint_state().items():
        # Weights preserve the scale of activations; biases and log-variances differ from 0, scales
        # of norms from 1.
        shape = tuple(parameter.shape)
        scale = math.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.25
        middle = 1 if len(shape) == 1 and name.endswith(".weight") else 0
        inputs[f"initial.{name}"] = middle + scale * random.standard_normal(shape)
    return {name: array.astype(np.float32) for name, array in inputs.items()}


def make_optimizer(case: Case, vae: twin.VAE) -> torch.optim.Optimizer:
    if case.optimizer == "sgd":
        return torch.optim.SGD(vae.parameters(), lr=case.learning_rate, momentum=case.momentum)
    if case.optimizer == "adagrad":
        return torch.optim.Adagrad(vae.parameters(), lr=case.learning_rate, eps=case.epsilon)
    if case.optimizer == "adam-epsilon-hat":
        return AdamEpsilonHat(
            vae.parameters(), case.learning_rate, case.epsilon, case.second_moment_start
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[case.optimizer]
    return kind(
        vae.parameters(),
        lr=case.learning_rate,
        betas=ADAM_BETAS,
        eps=case.epsilon,
        weight_decay=case.weight_decay,
    )


def run_case(case: Case, dtype: torch.dtype = torch.float64) -> dict[str, np.ndarray]:
    """Trains the twin for STEPS steps; returns the tensors of the case's file.

    Raises RuntimeError if the run is ill conditioned.
    """
    vae = twin.VAE(case.model).to(dtype)
    inputs = draw_inputs(case, vae)
    x, epsilon = (torch.from_numpy(inputs[name]).to(dtype) for name in ("x", "epsilon"))
    initial = {n: torch.from_numpy(inputs[f"initial.{n}"]) for n in vae.checkpoint_state()}
    vae.load_checkpoint_state(initial)
    optimizer = make_optimizer(case, vae)
    kinks = torch.tensor(KINKS.get(case.model.activation, ()))
    kink_distance = watch_hidden(
        vae, tuple(KINKS), lambda z: (z.unsqueeze(-1) - kinks).abs().min()
    )
    exponent = watch_hidden(vae, ("exponential",), lambda z: z.max())

    outputs, losses = {}, []
    for step in range(STEPS):
        evidence = vae(x, epsilon[step])
        optimizer.zero_grad()
        evidence.loss.backward()
        losses.append(evidence.loss.detach())
        if step == 0:
            for field in ("nll", "kl", "posterior_mean", "posterior_logvar", "output"):
                outputs[field] = getattr(evidence, field)
            for name, gradient in vae.checkpoint_gradients().items():
                outputs[f"gradient.{name}"] = gradient.clone()
        if case.loss_reduction == "sum":
            for parameter in vae.parameters():
                parameter.grad *= case.batch
        if case.clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(vae.parameters(), case.clip_norm)
            require(case, norm > 1.1 * case.clip_norm, f"clipping inactive, norm {norm:.3g}")
        optimizer.step()
        largest = max(exponent, default=0.0)
        require(case, largest < LARGEST_EXPONENT, f"exponent {largest:.3g}")
        check_conditioning(case, evidence, optimizer, min(kink_distance, default=math.inf))
    outputs["losses"] = torch.stack(losses)
    for name, parameter in vae.checkpoint_state().items():
        outputs[f"final.{name}"] = parameter
    arrays = {name: tensor.detach().numpy() for name, tensor in outputs.items()}
    return inputs | {name: array.astype(case.stored) for name, array in arrays.items()}


def watch_hidden(vae: twin.VAE, activations: tuple[str, ...], measure) -> list[float]:
    """Returns a list to which every run of the model appends measure(pre-activations) of each
    hidden layer. The list stays empty if the model's activation is not one of `activations`."""
    measured = []
    for module in vae.modules() if vae.config.activation in activations else ():
        if isinstance(module, networks.Activation):
            module.register_forward_pre_hook(
                lambda module, arguments: measured.append(measure(arguments[0]).item())
            )
    return measured


def check_conditioning(
    case: Case, evidence: twin.Evidence, optimizer: torch.optim.Optimizer, kink_distance: float
):
    """Raises RuntimeError if the run violates the conditions in the package's docstring."""
    require(case, kink_distance > SMALLEST_KINK_DISTANCE, f"kink at {kink_distance:.3g}")
    log_variance = evidence.posterior_logvar.abs().max().item()
    require(case, log_variance < twin.LOG_VARIANCE_LIMIT / 2, f"log-variance {log_variance:.3g}")
    for state in optimizer.state.values():
        if "exp_avg_sq" in state:
            correction = 1 - ADAM_BETAS[1] ** state["step"].item()
            denominator = (state["exp_avg_sq"] / correction).sqrt()
            smallest = denominator[denominator > 0].min().item()
            require(case, smallest > SMALLEST_ADAM_DENOMINATOR, f"Adam divides by {smallest:.3g}")
        if "sum" in state:
            smallest = state["sum"][state["sum"] > 0].min().sqrt().item()
            require(case, smallest > SMALLEST_ADAM_DENOMINATOR, f"Adagrad divides by {smallest:.3g}")


def require(case: Case, condition: bool, message: str):
    if not condition:
        raise RuntimeError(f"{case.name}: ill conditioned, take another seed: {message}")
