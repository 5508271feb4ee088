"""Predictions made before this project had run on any GPU, each with the location of its
measurement in the files of scripts/gpu-check. They come from a static review of the kernels:
instruction counts of the disassembly, grid sizes, documented rates. The uncertainty of a step's
time is about 30 %.

`python3 bench/peers/predictions.py` prints the table in bench/GPU_PROTOCOL.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

Read = Callable[[dict], float | None]


@dataclass(frozen=True)
class Prediction:
    what: str
    low: float
    high: float
    unit: str
    part: str  # part of the check
    row: str  # row of that part; empty: all of its rows together
    read: Read  # returns the measurement from the row's values, or None if it is missing

    def text(self) -> str:
        numbers = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        return f"{numbers} {self.unit}"

    def verdict(self, values: dict) -> str:
        value = self.read(values)
        if value is None:
            return "not measured"
        if self.low <= value <= self.high:
            return f"{value:.3g} {self.unit}: as predicted"
        bound = self.low if value < self.low else self.high
        return f"{value:.3g} {self.unit}: {value / bound:.2f} times the prediction"


def step(scale: float) -> Read:
    """Reads the time of elbo's step in milliseconds, times `scale`."""

    def read(values: dict) -> float | None:
        own = values.get("sides", {}).get("elbo")
        return own and own["step_ms"] * scale

    return read


def times_as_fast_as(mode: str) -> Read:
    def read(values: dict) -> float | None:
        sides = values.get("sides", {})
        if mode not in sides:
            return None
        return sides[mode]["step_ms"] / sides["elbo"]["step_ms"]

    return read


def kernel(row: str, column: str) -> Read:
    return lambda values: values.get("rows", {}).get(row, {}).get(column)


def calibrated(part: str, row: str, field: str) -> Read:
    def read(values: dict) -> float | None:
        rows = values.get("parts", {}).get(part, {}).get("rows", [])
        return next((each.get(field) for each in rows if each["name"] == row), None)

    return read


def copy_share(name: str, low: float, high: float) -> Prediction:
    read = kernel(name, "%copy")
    return Prediction(f"{name}, of the copy rate", low, high, "%", "kernels", "", read)


def product(name: str, what: str, low: float, high: float) -> Prediction:
    read = kernel(f"{name}/B=128/tf32", "us")
    return Prediction(f"{what}, own kernel", low, high, "µs", "kernels", "step products", read)


def edge(what: str, row: str, low: float, high: float) -> Prediction:
    read = calibrated("graph", row, "us_per_added_node")
    return Prediction(what, low, high, "µs", "calibration", "graph", read)


SMALL_STEP = ("steps", "784-400-z20/B=128/tf32")
BF16 = "784-512-256-z32/B=8192/bf16"


def large(batch: int) -> tuple[str, str]:
    return "large", f"12288-4096-2048-z256/B={batch}/bf16"


PREDICTIONS = (
    # From the critical path (branches run concurrently) to one chain of all kernels; products by
    # cuBLASLt or by own kernels.
    Prediction("step, 784-400-z20, B = 128, tf32", 42, 52, "µs", *SMALL_STEP, step(1e3)),
    product("dense_forward/relu/784x400", "first layer, 128 × 400 × 784", 5, 9),
    product("dense_forward/identity/400x40", "heads, 128 × 40 × 400", 3, 5.7),
    product("dense_forward/identity/400x784", "output layer, 128 × 784 × 400", 3.4, 6.2),
    product("dense_backward_input/relu/400x784", "its inputs' gradient", 5, 9),
    product("dense_backward_input/identity/20x400", "gradient of z, 128 × 20 × 400", 3, 5.7),
    product("dense_backward_weights/784x400", "first weights' gradient", 2, 3.6),
    edge("edge of a chain of kernels", "chain/counting", 1.0, 1.2),
    edge("the same, dependent launch", "chain/counting/dependent_launch", 0.6, 0.7),
    Prediction(
        "barrier of a whole grid, by hand",
        0.5,
        1.0,
        "µs",
        "calibration",
        "barrier",
        calibrated("barrier", "by hand", "us_per_barrier"),
    ),
    copy_share("gather_batch/u8-raw/85599x784", 27, 35),
    copy_share("latent_forward/2097152x32", 55, 60),
    copy_share("likelihood_terms/bernoulli/85599x784", 75, 80),
    copy_share("latent_backward/2097152x32", 75, 85),
    copy_share("likelihood_terms/gaussian/85599x784", 88, 100),
    copy_share("optimizer_update/adam/67108864", 88, 100),
    copy_share("squared_norm/67108864", 88, 100),
    Prediction(
        "kl_weights/2097152x32",
        15,
        25,
        "ms",
        "kernels",
        "other kernels",
        lambda values: (us := kernel("kl_weights/2097152x32", "us")(values)) and us / 1e3,
    ),
    Prediction("step, 784-512-256-z32, B = 8192, bf16", 140, 150, "µs", "large", BF16, step(1e3)),
    Prediction("step, 12288-4096-2048-z256, B = 128", 1.4, 1.6, "ms", *large(128), step(1)),
    Prediction("the same, B = 1024", 2.4, 2.7, "ms", *large(1024), step(1)),
    Prediction(
        "the same, as fast as PyTorch", 1.15, 1.2, "×", *large(1024), times_as_fast_as("eager")
    ),
    Prediction("the same, B = 8192", 11, 13, "ms", *large(8192), step(1)),
)


def table() -> str:
    lines = ["| prediction of | predicted | measured |", "| --- | --- | --- |"]
    lines += [f"| {p.what} | {p.text()} | |" for p in PREDICTIONS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
