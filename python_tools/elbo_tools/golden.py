"""Writes the golden files that the engine's tests compare themselves with.

    python -m elbo_tools.golden OUT_DIR

A training case (<name>.safetensors) is a tiny VAE, one fixed batch and 20 optimizer steps:

    x [B, D], epsilon [steps, B*L, latent], initial.<parameter>             F32, the inputs
    nll [B*L], kl [B], posterior_mean [B, latent], posterior_logvar,
    output [B*L, P*D], gradient.<parameter> (before clipping)               F64, at step 0
    losses [steps] (each before its update), final.<parameter>              F64

Row b*L+l of epsilon, nll and output is sample l of input b; the configuration is in the metadata.
A points file holds a formula and its derivatives, element by element, at awkward places.

All inputs are float32 values and all arithmetic is float64, so whatever separates a float32
engine from these files is its own rounding. For a bound to follow from that, the runs are well
conditioned, and `check_conditioning` refuses one that is not:

*   Adam divides by sqrt(v) + 1e-8 (Adagrad by the root of a sum, to the same effect), so where a gradient is as small as its own rounding error, that
    error moves the parameter by a whole learning rate. Every bias-corrected sqrt(v) is at least
    1e-3 at every step, or exactly 0, as in a dead unit, whose gradient is 0 in any arithmetic.
*   The kink of ReLU and leaky ReLU: no pre-activation ever comes within 2e-5 of 0, so that no
    rounding moves a unit to the other side.
*   The exponential makes its argument's absolute error its value's relative one: no pre-activation
    ever exceeds 2.
*   Clipping, where a case has it, is active at every step. The factor is PyTorch's,
    clip_norm / (norm + 1e-6).
*   Log-variances stay inside their clamp; the points files have the places outside it.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elbo_tools import twin

STEPS = 20
ADAM_BETAS = (0.9, 0.999)
SMALLEST_ADAM_DENOMINATOR = 1e-3
SMALLEST_KINK_DISTANCE = 2e-5
LARGEST_EXPONENT = 2.0


@dataclass(frozen=True)
class Case:
    name: str
    model: twin.VAEConfig
    seed: int  # chosen such that check_conditioning agrees
    batch: int = 5
    optimizer: str = "adam"
    learning_rate: float = 1 / 128
    weight_decay: float = 0.0
    momentum: float = 0.0
    clip_norm: float = 0.0  # 0: no clipping
    epsilon: float = 1e-8
    second_moment_start: float = 0.0  # adam-epsilon-hat alone
    loss_reduction: str = "mean"  # sum: steps take batch times the gradients in the file

    def metadata(self) -> dict[str, str]:
        fields = {
            "hidden": ",".join(map(str, self.model.hidden)),
            "steps": STEPS,
            **{name: getattr(self, name) for name in CASE_FIELDS},
            **{name: getattr(self.model, name) for name in MODEL_FIELDS},
        }
        return {name: str(value) for name, value in fields.items()}


CASE_FIELDS = (
    *("batch", "optimizer", "learning_rate", "weight_decay", "momentum", "clip_norm"),
    *("epsilon", "second_moment_start", "loss_reduction"),
)
MODEL_FIELDS = (
    *("dim", "latent_dim", "activation", "likelihood", "samples", "beta"),
    *("posterior_variance", "mse_variance", "objective"),
)


def model(likelihood: str, activation: str, hidden: tuple[int, ...], **others) -> twin.VAEConfig:
    # Odd sizes by default: no vector width divides them.
    sizes = {"dim": 11, "latent_dim": 3}
    return twin.VAEConfig(
        **(sizes | others), likelihood=likelihood, activation=activation, hidden=hidden
    )


CASES = (
    Case("gaussian_relu", model("gaussian", "relu", (9, 6)), seed=85),
    Case("gaussian_tanh", model("gaussian", "tanh", (7,), samples=3, beta=0.5), seed=2),
    Case(
        "gaussian_softplus_aligned",
        model("gaussian", "softplus", (16,), samples=2, dim=16, latent_dim=4),
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
    """Kingma and Ba 2015, the end of section 2: the corrections are in the step size, and epsilon
    stands beside the uncorrected root of the second moment."""

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
    """The float32 inputs. RandomState, because NumPy has frozen its stream."""
    random = np.random.RandomState(case.seed)
    config, batch = case.model, case.batch
    if config.likelihood == "bernoulli":
        x = random.randint(0, 2, (batch, config.dim))
    else:
        x = random.standard_normal((batch, config.dim))
    epsilon = random.standard_normal((STEPS, batch * config.samples, config.latent_dim))
    inputs = {"x": x, "epsilon": epsilon}
    for name, parameter in vae.named_parameters():
        # Weights keep the scale of what flows through them; biases and log-variances are not zero.
        scale = parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 0.25
        inputs[f"initial.{name}"] = scale * random.standard_normal(tuple(parameter.shape))
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
    """Trains the twin for STEPS steps; returns the tensors of the case's file."""
    vae = twin.VAE(case.model).to(dtype)
    inputs = draw_inputs(case, vae)
    x, epsilon = (torch.from_numpy(inputs[name]).to(dtype) for name in ("x", "epsilon"))
    initial = {name: torch.from_numpy(inputs[f"initial.{name}"]) for name in vae.state_dict()}
    vae.load_state_dict(initial)
    optimizer = make_optimizer(case, vae)
    kink_distance = watch_hidden(vae, ("relu", "leaky-relu"), lambda z: z.abs().min())
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
            for name, parameter in vae.named_parameters():
                outputs[f"gradient.{name}"] = parameter.grad.clone()
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
    for name, parameter in vae.named_parameters():
        outputs[f"final.{name}"] = parameter
    return inputs | {name: tensor.detach().numpy() for name, tensor in outputs.items()}


def watch_hidden(vae: twin.VAE, activations: tuple[str, ...], measure) -> list[float]:
    """A list that grows, as the model runs, by what `measure` says of each hidden layer's
    pre-activations, in models with one of the activations."""
    measured = []
    if vae.config.activation in activations:
        for layer in (*vae.encoder, *vae.decoder):
            layer.register_forward_hook(
                lambda layer, args, output: measured.append(measure(output).item())
            )
    return measured


def check_conditioning(
    case: Case, evidence: twin.Evidence, optimizer: torch.optim.Optimizer, kink_distance: float
):
    """RuntimeError where the run is not conditioned as the head of this file promises."""
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


def points(*axes) -> list[Tensor]:
    """Every combination of the axes' values, each a float32 value held as a float64 leaf."""
    axes = [torch.tensor(axis, dtype=torch.float32).double() for axis in axes]
    return [grid.flatten().requires_grad_() for grid in torch.meshgrid(*axes, indexing="ij")]


def tabulate(prefix: str, inputs: dict[str, Tensor], value_name: str, value: Tensor) -> dict:
    """prefix.<input> F32, prefix.<value_name> F64 and prefix.grad_<input> F64 of an elementwise
    value. The input named x is data and has no gradient."""
    table = {f"{prefix}.{name}": tensor.detach().float() for name, tensor in inputs.items()}
    table[f"{prefix}.{value_name}"] = value.detach()
    variables = {name: tensor for name, tensor in inputs.items() if name != "x"}
    gradients = torch.autograd.grad(value.sum(), list(variables.values()))
    for name, gradient in zip(variables, gradients, strict=True):
        table[f"{prefix}.grad_{name}"] = gradient
    return {name: tensor.numpy() for name, tensor in table.items()}


# Both float32 neighbours of the clamp's limits, not the limits: there PyTorch's gradient was 1 in
# earlier releases and is 0 in later ones.
INSIDE, OUTSIDE = (float(np.nextafter(np.float32(16), np.float32(far))) for far in (0, 90))
LOG_VARIANCES = (-90, -17, -OUTSIDE, -INSIDE, -5, -0.5, 0, 0.5, 5, INSIDE, OUTSIDE, 17, 90)
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
    return table | tabulate("bernoulli", {"x": x, "logit": logit}, "nll", nll)


def activation_points() -> dict[str, np.ndarray]:
    table = {}
    for name, function in twin.ACTIVATIONS.items():
        far = () if name == "exponential" else (90, 1e4)  # beyond a float's range
        (z,) = points((-1e4, -90, -40, -17, -3, -1, -1e-4, 0, 1e-4, 1, 3, 17, 40, *far))
        table |= tabulate(name, {"z": z}, "value", function(z))
    return table


def posterior_points() -> dict[str, np.ndarray]:
    """The KL term, its log-variance clamped as the model does before it."""
    mean, log_variance = points((-100, -1, 0, 1e-4, 2), LOG_VARIANCES)
    kl = twin.gaussian_kl(mean, twin.clamp_log_variance(log_variance))
    return tabulate("gaussian", {"mean": mean, "log_variance": log_variance}, "kl", kl)


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]):
    """The safetensors format. The official writer orders the metadata differently at every run;
    these files are under version control, so their bytes must depend on their content alone."""
    dtypes = {"float64": "F64", "float32": "F32"}
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header, offset = {"__metadata__": dict(sorted(metadata.items()))}, 0
    for name, tensor in ordered:
        header[name] = {
            "dtype": dtypes[tensor.dtype.name],
            "shape": tensor.shape,
            "data_offsets": (offset, offset + tensor.nbytes),
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(
        tensor.astype(tensor.dtype.newbyteorder("<")).tobytes() for _, tensor in ordered
    )
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_golden(folder: Path):
    """Writes every golden file into the folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one order of summation
    try:
        for case in CASES:
            write_safetensors(folder / f"{case.name}.safetensors", run_case(case), case.metadata())
        for table in (likelihood_points, activation_points, posterior_points):
            write_safetensors(folder / f"{table.__name__}.safetensors", table(), {})
    finally:
        torch.set_num_threads(threads)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m elbo_tools.golden", description="Write the golden files."
    )
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    write_golden(parser.parse_args().folder)


if __name__ == "__main__":
    main()
