"""The performance goals. On a GPU: metric, peer, target, and a function that reads the result from
the rows that scripts/gpu-check writes; the table in bench/RESULTS.md shows this list. On a CPU: the
required speedup of a training step over PyTorch, which compare_cpu measures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    text: str
    reached: bool


@dataclass(frozen=True)
class Goal:
    metric: str
    peer: str
    target: str
    part: str = ""  # part of the check; empty if nothing measures this goal yet
    row: str = ""  # row of that part; empty: all of its rows together
    read: Callable[[dict], Measurement | None] = lambda values: None  # from the row's values


@dataclass(frozen=True)
class CpuGoal:
    """A goal for the speedup over PyTorch; for a training step, with the faster of its Adams."""

    times: float
    aim: float = 0.0  # a higher speedup to aim for; 0: none

    def verdict(self, ratio: float, against: str = "the faster PyTorch") -> str:
        """Returns one line that compares the measured speedup `ratio` with the goal."""
        reached = "reached" if ratio >= self.times else "not reached"
        more = f", aim {self.aim:g} x" if self.aim else ""
        return f"goal {self.times:g} x{more}: {ratio:.2f} x {against}, {reached}"


# By model, batch size and number of importance samples (0: trained on the ELBO).
CPU_GOALS = {
    (model, batch, 0): CpuGoal(times)
    for model in ("784-400-z20", "784-512-256-z32")
    for batch, times in {20: 4, 128: 2, 1024: 1.3}.items()
}
CPU_GOALS |= {("784-200-200-z50", 20, k): CpuGoal(t) for k, t in {1: 4, 5: 3, 50: 1.5}.items()}
CPU_GOALS |= {("conv-32x32x3", batch, 0): CpuGoal(1.0, aim=1.3) for batch in (32, 128)}

# Speedup of a step in bf16 over the same step in fp32, on a processor with bf16 products.
CPU_BF16_GOAL = CpuGoal(1.6)

# Goals other than training steps, by part and PyTorch mode; compare_cpu_parts measures them.
CPU_PART_GOALS = {
    ("kernels", "eager"): CpuGoal(5),
    ("kernels", "inductor"): CpuGoal(1.5),
    ("likelihood", "eager"): CpuGoal(1.5),
    ("start", "eager"): CpuGoal(10),
}
CPU_SHARE_OF_COPY_RATE = 85  # percent, for a fused kernel on 16 M elements

COMPILED = ("compile", "compile-reduce-overhead", "compile-max-autotune", "compile-optimizer")
JAX = ("scan", "scan-unrolled", "scan-graph")


def duration(milliseconds: float) -> str:
    return f"{1e3 * milliseconds:.3g} µs" if milliseconds < 1 else f"{milliseconds:.3g} ms"


def faster(times: float, *modes: str) -> Callable[[dict], Measurement | None]:
    """The goal that elbo's step is at least `times` as fast as the step of the fastest of `modes`.
    A mode whose final loss differs from elbo's has done different work and does not count."""

    def read(values: dict) -> Measurement | None:
        sides = values.get("sides", {})
        peers = {m: sides[m]["step_ms"] for m in modes if m in sides and sides[m]["losses_agree"]}
        if not peers:
            return None
        mode = min(peers, key=peers.get)
        own = sides["elbo"]["step_ms"]
        ratio = peers[mode] / own
        against = f" ({mode})" if len(modes) > 1 else ""
        text = f"{ratio:.2f} ×, {duration(own)} against {duration(peers[mode])}{against}"
        return Measurement(text, ratio >= times)

    return read


def at_most(milliseconds: float) -> Callable[[dict], Measurement | None]:
    """The goal that elbo's step takes at most this time."""

    def read(values: dict) -> Measurement | None:
        own = values.get("sides", {}).get("elbo")
        return own and Measurement(duration(own["step_ms"]), own["step_ms"] <= milliseconds)

    return read


def at_most_times(times: float, floor_ms: float) -> Callable[[dict], Measurement | None]:
    """The goal that elbo's step takes at most `times` times a lower bound."""

    def read(values: dict) -> Measurement | None:
        own = values.get("sides", {}).get("elbo")
        if not own:
            return None
        ratio = own["step_ms"] / floor_ms
        return Measurement(f"{ratio:.2f} times it, {duration(own['step_ms'])}", ratio <= times)

    return read


FUSED = ("latent_forward/", "latent_backward/", "likelihood_terms/", "gather_batch/")
FUSED += ("optimizer_update/",)


def is_large(row: str) -> bool:
    """True if the sizes at the end of a row's name are about 64 M elements, as in 85599x784."""
    sizes = row.rpartition("/")[2].split("x")
    return all(size.isdigit() for size in sizes) and math.prod(map(int, sizes)) >= 60_000_000


def has_every_fused_kernel(rows: dict) -> bool:
    """True if all fused kernels were measured: otherwise the slowest may be missing."""
    large = [name for name in rows if is_large(name)]
    return all(any(name.startswith(kernel) for name in large) for kernel in FUSED)


def share_of_copy_rate(values: dict) -> Measurement | None:
    """Returns the lowest percentage of the copy rate among the large fused kernels."""
    if not has_every_fused_kernel(values.get("rows", {})):
        return None
    shares = {
        name: row["%copy"]
        for name, row in values.get("rows", {}).items()
        if name.startswith(FUSED) and is_large(name) and "%copy" in row
    }
    if not shares:
        return None
    worst = min(shares, key=shares.get)
    text = f"{shares[worst]:.0f} % ({worst}, the least of {len(shares)})"
    return Measurement(text, shares[worst] >= 90)


def kernels_faster(times: float, way: str) -> Callable[[dict], Measurement | None]:
    """The goal that each fused kernel is at least `times` as fast as its formulas in PyTorch."""

    def read(values: dict) -> Measurement | None:
        peers = values.get("pytorch", {}).get("rows", {})
        if not has_every_fused_kernel(peers):
            return None
        ratios = {
            name: peer[f"{way}_us"] / values["rows"][name]["us"]
            for name, peer in peers.items()
            if f"{way}_us" in peer
        }
        if not ratios:
            return None
        worst = min(ratios, key=ratios.get)
        text = f"{ratios[worst]:.2f} × ({worst}, the least of {len(ratios)})"
        return Measurement(text, ratios[worst] >= times)

    return read


BIT_EQUAL_TESTS = ("RandomFill", "PermutationFill", "GatherBatch")


def same_noise_and_order(values: dict) -> Measurement | None:
    """Returns the result of the tests that compare noise, permutations and batches with the CPU's
    bit by bit."""

    def among(names: list[str], test: str) -> bool:
        return any(f".{test}/" in name for name in names)

    if any(among(values.get("failed", []), test) for test in BIT_EQUAL_TESTS):
        return Measurement("other bits", False)
    if all(among(values.get("passed", []), test) for test in BIT_EQUAL_TESTS):
        return Measurement("the same bits", True)
    return None


def same_weights(values: dict) -> Measurement | None:
    if "same_bits" not in values:
        return None
    return Measurement(
        "the same bits" if values["same_bits"] else "other bits", values["same_bits"]
    )


SMALL = ("steps", "784-400-z20/B=128/tf32")
IMPORTANCE = ("large", "784-200-200-z50/B=20/tf32/iwae=50")
MEDIUM = ("large", "784-512-256-z32/B=8192/bf16")
PICTURES = ("large", "conv-64x64x3/B=128/bf16")
STEP = "steps per second, 784-400-z20, B = 128"
IWAE = "784-200-200-z50 tanh, importance-weighted, k = 50"
BF16 = "784-512-256-z32, B = 8192, bf16"
CONVOLUTIONAL = "convolutional, 64 × 64, B = 128, bf16"
MANY = "32 models in one step"


def large(batch: int, times: float) -> Goal:
    return Goal(
        f"12288-4096-2048-z256, bf16, B = {batch}",
        "PyTorch bf16, fused Adam",
        f"{times} ×",
        "large",
        f"12288-4096-2048-z256/B={batch}/bf16",
        faster(times, "eager"),
    )


def fused(peer: str, target: str, read: Callable[[dict], Measurement | None]) -> Goal:
    return Goal("fused kernels, 64 M elements", peer, target, "kernels", "", read)


GOALS = (
    Goal(STEP, "PyTorch's VAE example, unchanged", "100 ×", *SMALL, faster(100, "example")),
    Goal(
        STEP,
        "PyTorch eager, data on the GPU, its fastest Adam",
        "10 ×",
        *SMALL,
        faster(10, "eager"),
    ),
    Goal(STEP, "`torch.compile` in its best mode", "3 ×", *SMALL, faster(3, *COMPILED)),
    Goal(STEP, "PyTorch with the step as a CUDA graph", "2.5 ×", *SMALL, faster(2.5, "graph")),
    Goal(STEP, "the same, compiled", "1.5 ×", *SMALL, faster(1.5, "compile-graph")),
    Goal(STEP, "JAX, `jit` over `scan`", "1.4 ×", *SMALL, faster(1.4, *JAX)),
    Goal("time of that step on an H200", "", "55 µs", *SMALL, at_most(0.055)),
    Goal(IWAE, "PyTorch eager", "10 ×", *IMPORTANCE, faster(10, "eager")),
    Goal(IWAE, "`torch.compile` in its best mode", "3 ×", *IMPORTANCE, faster(3, *COMPILED)),
    Goal(IWAE, "JAX, `jit` over `scan`", "1.4 ×", *IMPORTANCE, faster(1.4, *JAX)),
    Goal(BF16, "`torch.compile` in its best mode", "1.4 ×", *MEDIUM, faster(1.4, *COMPILED)),
    Goal(
        BF16,
        "its floor from arithmetic and traffic, 80 µs",
        "at most 1.8 times it",
        *MEDIUM,
        at_most_times(1.8, 0.080),
    ),
    large(128, 1.25),
    large(1024, 1.3),
    large(8192, 1.05),
    Goal(CONVOLUTIONAL, "PyTorch eager, channels last", "3 ×", *PICTURES, faster(3, "eager")),
    Goal(
        CONVOLUTIONAL,
        "`torch.compile` in its best mode",
        "1.2 ×",
        *PICTURES,
        faster(1.2, *COMPILED),
    ),
    fused("the device's measured copy rate", "90 % of it", share_of_copy_rate),
    fused("PyTorch eager", "5 ×", kernels_faster(5, "eager")),
    fused("Inductor", "1 ×", kernels_faster(1, "inductor")),
    Goal(
        "noise and batch order",
        "the CPU's",
        "the same bits",
        "tests",
        "kernels_gpu_test",
        same_noise_and_order,
    ),
    Goal(MANY, "own single model", "4 ×"),
    Goal(MANY, "a loop in eager PyTorch", "40 ×"),
    Goal("the host's part of a step", "", "2 µs, no synchronisation"),
    Goal(
        "weights after 1000 steps, twice",
        "each other",
        "the same bits",
        "repeatability",
        "1000 steps twice",
        same_weights,
    ),
)
