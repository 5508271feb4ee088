"""Compares whole training steps with the peers. All sides are prepared before the first is timed,
then they take turns: elbo, each peer, elbo, each peer, ...
"""

import dataclasses
import re
import statistics
import sys
import time
from dataclasses import dataclass

from gpu_check import machine
from gpu_check.command import Deadline, OutOfTime, Problem, Server
from gpu_check.parts import PEERS, Context, Part, Result, Row, Scope

sys.path.insert(0, str(PEERS))
from goals import COMPILED, JAX  # noqa: E402
from losses import agree, mean_and_error  # noqa: E402

EVERY = ("example", "eager", *COMPILED, "graph", "compile-graph", *JAX)
QUICK = ("eager", "graph", "compile-graph", "scan")  # start within seconds
ON_A_CPU = ("example", "eager", "compile", "scan", "scan-unrolled")

# Seconds that a side needs to prepare, without imports. A row's time is divided in proportion.
PREPARATION = {"elbo": 15, "example": 5, "eager": 5, "graph": 5, "compile-max-autotune": 90}
USUAL_PREPARATION = 18
PREPARING = 0.75  # maximum fraction of a row's time for preparation


@dataclass(frozen=True)
class Setting:
    """One comparison: the model, the training settings, and the modes of the peers."""

    model: str
    batch: int
    precision: str
    steps: int
    modes: tuple[str, ...]
    iwae: int = 0
    stands_for: str = ""  # in a rehearsal: name of the row that this setting replaces

    @property
    def name(self) -> str:
        samples = f"/iwae={self.iwae}" if self.iwae else ""
        return self.stands_for or f"{self.model}/B={self.batch}/{self.precision}{samples}"

    @property
    def takes_mnist(self) -> bool:
        return self.model.startswith("784-")

    @property
    def expected_s(self) -> float:
        slow = "example" in self.modes or self.model.startswith("12288-")
        return (60 if slow else 15) + sum(map(preparation_s, ("elbo", *self.modes)))

    def arguments(self) -> list[str]:
        samples = ["--iwae", str(self.iwae)] if self.iwae else []
        sizes = ["--batch", str(self.batch), "--steps", str(self.steps)]
        return ["--model", self.model, *sizes, "--precision", self.precision, *samples]

    def within(self, scope: Scope) -> "Setting":
        """Returns this setting with the requested modes and, in a rehearsal, the smallest model."""
        wanted = self.modes if scope.modes is None else scope.modes
        setting = dataclasses.replace(self, modes=tuple(m for m in self.modes if m in wanted))
        if not scope.rehearse:
            return setting
        return dataclasses.replace(
            setting,
            model="conv-8x8x3" if self.model.startswith("conv-") else "16-8-z2",
            batch=8,
            steps=100,
            modes=tuple(m for m in setting.modes if m != "example"),  # which has only one model
            iwae=min(self.iwae, 2),
            stands_for=self.name,
        )


def preparation_s(side: str) -> float:
    return PREPARATION.get(side, USUAL_PREPARATION)


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
    """Throws Problem if an answer does not match the request, because a program may ignore an
    unknown option. An answer without precision and importance weights means fp32 and none."""
    if device == "cuda" and answer["device"].startswith("CPU"):
        raise Problem(f"{answer['side']} ran on {answer['device']}, not on the GPU")
    said = {"precision": "fp32", "iwae": 0} | answer
    for key in ("model", "batch", "precision", "iwae"):
        if said[key] != getattr(setting, key):
            asked = getattr(setting, key)
            raise Problem(f"{answer['side']}: {key} was {said[key]}, {asked} was asked for")


def missing_library(setting: Setting, answer: dict) -> str | None:
    """Returns the reason if elbo had to multiply without the NVIDIA library that this setting
    needs: its time is then not representative. None otherwise."""
    notes = answer.get("notes", [])
    if setting.precision == "bf16" and "cuBLASLt" not in answer.get("libraries", ""):
        products, library = "matrix products by own kernels alone", "cuBLASLt"
    elif setting.model.startswith("conv-"):
        products, library = "convolutions by own kernels alone", "cuDNN"
        if not any(note.startswith(products) for note in notes):
            return None
    else:
        return None
    why = next((note for note in notes if note.startswith(products)), products)
    return f"elbo without {library} (folders to look in: {machine.LIBRARIES}): {why}"


def fastest_graph(notes: list[str]) -> str | None:
    """Returns the kind of graph that elbo measured as the fastest."""
    nodes = r"\d+ nodes(?: and \d+ of \d+ library products)?"
    kinds = [re.fullmatch(rf"graph, (.*): {nodes}, ([\d.]+) us a run", note) for note in notes]
    times = {match[1]: float(match[2]) for match in kinds if match}
    return min(times, key=times.get) if times else None


class Comparison:
    def __init__(self, setting: Setting, context: Context, deadline: Deadline):
        self.setting, self.context, self.deadline = setting, context, deadline
        self.answers: dict[str, list[dict]] = {}
        self.servers: dict[str, Server] = {}
        self.slowest_s: dict[str, float] = {}
        self.problems: list[str] = []
        self.weights = context.folder / "initial.safetensors"

    def start(self, side: str, command: list, device: str) -> None:
        data = self.context.data if self.setting.takes_mnist else None
        options = [*self.setting.arguments(), "--device", device, "--serve"]
        self.servers[side] = Server(side, [*command, *options, *(["--data", data] if data else [])])

    def start_peers(self) -> None:
        versions = machine.python_facts(self.context.python)["versions"]
        for mode in self.setting.modes:
            framework = "jax" if mode in JAX else "torch"
            if framework in versions and not versions[framework]:
                self.problems.append(f"{mode}: {self.context.python} has no {framework}")
                continue
            script = PEERS / ("jax_gpu.py" if mode in JAX else "pytorch_gpu.py")
            command = [self.context.python, script, "--mode", mode]
            command += ["--initial-weights", self.weights]
            self.start(mode, command, self.context.peer_device)

    def prepare(self) -> None:
        """Prepares elbo, then starts all peers at once, because importing takes long. They compile
        one after another, because some of them time kernels and need the GPU for themselves."""
        begun = time.monotonic()
        total = PREPARING * self.deadline.left()
        waiting = ["elbo", *self.setting.modes]

        def share(side: str) -> Deadline:
            left = total - (time.monotonic() - begun)
            weight = preparation_s(side) / sum(map(preparation_s, waiting))
            waiting.remove(side)
            return self.deadline.within(left * weight)

        program = self.context.program("elbo_bench")
        options = ["step", "--write-initial-weights", self.weights]
        self.start("elbo", [program, *options], self.context.device)
        self.servers["elbo"].ask("prepare", share("elbo"))
        if not self.weights.exists():
            raise Problem("elbo_bench step --write-initial-weights wrote no file")
        self.start_peers()
        for mode in self.setting.modes:
            if mode in self.servers:
                self.ask(mode, "prepare", share(mode))
            else:
                waiting.remove(mode)

    def ask(self, side: str, line: str, deadline: Deadline) -> dict | None:
        """Returns the answer of a side. A peer that fails or misses its deadline is dropped."""
        try:
            return self.servers[side].ask(line, deadline)
        except Problem as problem:
            self.drop(side, problem)
            return None

    def drop(self, side: str, problem: Problem) -> None:
        self.servers.pop(side).close()
        if side == "elbo":
            raise problem
        self.problems.append(str(problem))

    def take_turn(self, side: str, number: int, share_s: float) -> None:
        """Runs one side for one round. Its limit is `share_s`, or twice the time of its slowest
        turn so far if that is longer."""
        begun = time.monotonic()
        seconds = max(share_s, 2 * self.slowest_s.get(side, 0.0))
        answer = self.ask(side, f"run {number}", self.deadline.within(seconds))
        if answer is None:
            return
        device = self.context.device if side == "elbo" else self.context.peer_device
        try:
            check_answer(self.setting, device, answer)
        except Problem as problem:
            return self.drop(side, problem)
        took = time.monotonic() - begun
        self.slowest_s[side] = max(took, self.slowest_s.get(side, 0.0))
        self.answers.setdefault(side, []).append(answer)

    def play_rounds(self) -> str | None:
        """Runs the rounds until the time is up. Returns the reason if some rounds are missing. A
        peer's share is the time left, divided by the rounds left; elbo's is half of the time left,
        because the row ends if elbo fails."""
        rounds = self.context.rounds
        for number in range(1, rounds + 1):
            left = self.deadline.left()
            if left <= 1.5 * sum(self.slowest_s.get(side, 0.0) for side in self.servers):
                return f"{number - 1} of {rounds} rounds: the time was up"
            try:
                for side in list(self.servers):
                    share = 2 if side == "elbo" else rounds - number + 1
                    self.take_turn(side, number, left / share)
            except OutOfTime:
                return f"{number - 1} of {rounds} rounds: the time was up"
            self.context.keep(self.result(f"{number} of {rounds} rounds: in progress"))
        return None

    def side_values(self, answers: list[dict], own_losses: list[float]) -> dict:
        """Returns the median time and the mean loss of a side."""
        losses = [answer["final_loss"] for answer in answers]
        times = [answer["step_ms"] for answer in answers]
        loss, error = mean_and_error(losses)
        last = answers[-1]
        return {
            "side": last["side"],
            "device": last["device"],
            "rounds": len(answers),
            "step_ms": statistics.median(times),
            "rounds_ms": times,
            "final_loss": loss,
            "final_loss_error": error,
            "losses_agree": agree(own_losses, losses),
            "peak_memory_mib": last.get("peak_memory_mib"),
            "versions": last.get("versions"),
        }

    def result(self, unfinished: str | None = None) -> Result:
        own = self.answers.get("elbo")
        if not own:
            return Result({}, tuple(self.problems), unfinished)
        problems = list(self.problems)
        own_losses = [answer["final_loss"] for answer in own]
        sides = {side: self.side_values(a, own_losses) for side, a in self.answers.items()}
        for name, side in sides.items():
            if not side["losses_agree"]:
                problems.append(
                    f"{name}: final loss {side['final_loss']:.2f} +- {side['final_loss_error']:.2f}"
                    f", elbo's is {sides['elbo']['final_loss']:.2f} +- "
                    f"{sides['elbo']['final_loss_error']:.2f}"
                )
        if self.context.on_gpu and (missing := missing_library(self.setting, own[-1])):
            problems.append(missing)
        notes = own[-1].get("notes", [])
        values = {
            "rounds": len(own),
            "sides": sides,
            "libraries": own[-1].get("libraries"),
            "graph": fastest_graph(notes),
            "notes": notes,
        }
        return Result(values, tuple(problems), unfinished)

    def run(self) -> Result:
        try:
            self.prepare()
            return self.result(self.play_rounds())
        except Problem as problem:
            self.problems.append(str(problem))
            return self.result()
        finally:
            for server in self.servers.values():
                server.close()


def rows_of(settings: tuple[Setting, ...], scope: Scope) -> tuple[Row, ...]:
    def row_of(setting: Setting) -> Row:
        def measure(context: Context, deadline: Deadline) -> Result:
            return Comparison(setting, context, deadline).run()

        return Row(setting.name, setting.expected_s, measure)

    return tuple(row_of(setting.within(scope)) for setting in settings)


STEPS = Part(
    "steps",
    "training steps of the small models, elbo against every way of PyTorch and JAX",
    lambda scope: rows_of(SMALL, scope),
    lambda scope: rows_of((TRIED_ON_A_CPU,), scope),
)
LARGE_PART = Part(
    "large",
    "the same for large and convolutional models, large batches in bf16, and importance weights",
    lambda scope: rows_of(LARGE, scope),
)
