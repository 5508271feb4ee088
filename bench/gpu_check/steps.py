"""Whole training steps against the peers. All sides are ready before the first is timed, then they
take turns: elbo, each peer, elbo, each peer, ...
"""

import statistics
import sys
from dataclasses import dataclass

from gpu_check import machine
from gpu_check.command import Deadline, Problem, Server, parse_json, run_well
from gpu_check.parts import PEERS, Context, Part, Result, Row

sys.path.insert(0, str(PEERS))
from goals import COMPILED, JAX  # noqa: E402
from losses import agree, mean_and_error  # noqa: E402

EVERY = ("example", "eager", *COMPILED, "graph", "compile-graph", *JAX)
QUICK = ("eager", "graph", "compile-graph", "scan")  # start within seconds
ON_A_CPU = ("example", "eager", "compile", *JAX)
QUICK_TO_START = ("example", "eager", "graph")


@dataclass(frozen=True)
class Setting:
    """One comparison: what is trained, how, and which modes of the peers take part."""

    model: str
    batch: int
    precision: str
    steps: int
    modes: tuple[str, ...]
    iwae: int = 0

    @property
    def name(self) -> str:
        samples = f"/iwae={self.iwae}" if self.iwae else ""
        return f"{self.model}/B={self.batch}/{self.precision}{samples}"

    @property
    def takes_mnist(self) -> bool:
        return self.model.startswith("784-")

    @property
    def expected_s(self) -> float:
        def start(mode: str) -> float:
            if mode == "compile-max-autotune":
                return 60
            return 5 if mode in QUICK_TO_START else 15

        rounds = 60 if "example" in self.modes else 30
        return rounds + sum(map(start, self.modes))

    def arguments(self) -> list[str]:
        samples = ["--iwae", str(self.iwae)] if self.iwae else []
        sizes = ["--batch", str(self.batch), "--steps", str(self.steps)]
        return ["--model", self.model, *sizes, "--precision", self.precision, *samples]


SMALL = (
    Setting("784-400-z20", 128, "tf32", 1000, EVERY),
    Setting("784-512-256-z32", 128, "tf32", 1000, QUICK),
    Setting("784-200-200-z50", 128, "tf32", 1000, QUICK),
    Setting("784-400-z20", 8192, "tf32", 400, (*QUICK, "compile")),
)
LARGE = (
    Setting("12288-4096-2048-z256", 128, "bf16", 200, ("eager",)),
    Setting("12288-4096-2048-z256", 1024, "bf16", 200, ("eager",)),
    Setting("12288-4096-2048-z256", 8192, "bf16", 100, ("eager",)),
    Setting("784-512-256-z32", 8192, "bf16", 400, COMPILED),
    Setting("conv-64x64x3", 128, "bf16", 200, ("eager", *COMPILED)),
    Setting("784-200-200-z50", 20, "tf32", 1000, ("eager", *COMPILED, *JAX), iwae=50),
)
TRIED_ON_A_CPU = Setting("784-400-z20", 128, "fp32", 400, ON_A_CPU)


def check_answer(setting: Setting, device: str, answer: dict) -> None:
    """A program may ignore an option it does not know, so what it says it did has to be what it was
    asked for. One that says nothing of precision or importance weights has fp32 and none."""
    if device == "cuda" and answer["device"].startswith("CPU"):
        raise Problem(f"{answer['side']} ran on {answer['device']}, not on the GPU")
    said = {"precision": "fp32", "iwae": 0} | answer
    for key in ("model", "batch", "precision", "iwae"):
        if said[key] != getattr(setting, key):
            asked = getattr(setting, key)
            raise Problem(f"{answer['side']}: {key} was {said[key]}, {asked} was asked for")


class Comparison:
    def __init__(self, setting: Setting, context: Context, deadline: Deadline):
        self.setting, self.context, self.deadline = setting, context, deadline
        self.answers: dict[str, list[dict]] = {"elbo": []}
        self.servers: dict[str, Server] = {}
        self.problems: list[str] = []
        data = ["--data", context.data] if context.data and setting.takes_mnist else []
        self.arguments = [*setting.arguments(), "--device", context.device, *data]

    def elbo(self, *more) -> str:
        program = self.context.program("bench/elbo_bench")
        return run_well([program, "step", *self.arguments, *more], self.deadline)

    def start_peers(self, weights) -> None:
        """Starts them all, since importing takes long, then lets one after the other compile: some
        time kernels to choose among them, and want the GPU for themselves."""
        versions = machine.versions(self.context.python)
        for mode in self.setting.modes:
            framework = "jax" if mode in JAX else "torch"
            if not versions.get(framework):
                self.problems.append(f"{mode}: {self.context.python} has no {framework}")
                continue
            script = PEERS / ("jax_gpu.py" if mode in JAX else "pytorch_gpu.py")
            options = ["--mode", mode, "--initial-weights", weights, "--serve"]
            command = [self.context.python, script, *self.arguments, *options]
            self.servers[mode] = Server(mode, command)
        for mode in list(self.servers):
            self.ask(mode, "prepare", self.deadline.half())

    def ask(self, mode: str, line: str, deadline: Deadline) -> dict | None:
        """A peer's answer; one that fails is out of the comparison."""
        try:
            answer = self.servers[mode].ask(line, deadline)
            if line != "prepare":
                check_answer(self.setting, self.context.device, answer)
            return answer
        except Problem as problem:
            self.problems.append(str(problem))
            self.servers.pop(mode).close()
            self.answers.pop(mode, None)
            return None

    def play_round(self, number: int) -> None:
        own = parse_json(self.elbo("--seed", number), "elbo_bench")
        check_answer(self.setting, self.context.device, own)
        self.answers["elbo"].append(own)
        for mode in list(self.servers):
            answer = self.ask(mode, f"run {number}", self.deadline)
            if answer:
                self.answers.setdefault(mode, []).append(answer)

    def summary(self) -> dict:
        """Medians and mean losses by side."""
        own_losses = [answer["final_loss"] for answer in self.answers["elbo"]]
        sides = {}
        for name, answers in self.answers.items():
            losses = [answer["final_loss"] for answer in answers]
            times = [answer["step_ms"] for answer in answers]
            loss, error = mean_and_error(losses)
            last = answers[-1]
            sides[name] = {
                "side": last["side"],
                "device": last["device"],
                "step_ms": statistics.median(times),
                "rounds_ms": times,
                "final_loss": loss,
                "final_loss_error": error,
                "losses_agree": agree(own_losses, losses),
                "peak_memory_mib": last.get("peak_memory_mib"),
                "versions": last.get("versions"),
            }
            if not sides[name]["losses_agree"]:
                self.problems.append(
                    f"{name}: final loss {loss:.2f} +- {error:.2f}, elbo's is "
                    f"{sides['elbo']['final_loss']:.2f} +- {sides['elbo']['final_loss_error']:.2f}"
                )
        return sides

    def run(self) -> Result:
        try:
            weights = self.context.folder / "initial.safetensors"
            self.elbo("--write-initial-weights", weights)
            if not weights.exists():
                raise Problem("elbo_bench step --write-initial-weights wrote no file")
            self.start_peers(weights)
            for number in range(1, self.context.rounds + 1):
                self.play_round(number)
            sides = self.summary()
        finally:
            for server in self.servers.values():
                server.close()
        return Result({"rounds": self.context.rounds, "sides": sides}, tuple(self.problems))


def row_of(setting: Setting) -> Row:
    def measure(context: Context, deadline: Deadline) -> Result:
        return Comparison(setting, context, deadline).run()

    return Row(setting.name, setting.expected_s, measure)


STEPS = Part(
    "steps",
    "training steps of the small models, elbo against every way of PyTorch and JAX",
    tuple(map(row_of, SMALL)),
    (row_of(TRIED_ON_A_CPU),),
)
LARGE_PART = Part(
    "large",
    "the same for large and convolutional models, large batches in bf16, and importance weights",
    tuple(map(row_of, LARGE)),
)
