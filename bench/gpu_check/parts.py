"""The parts of the check whose rows are single commands: tests, repeatability, sanitizer,
calibration, kernels."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu_check import machine
from gpu_check.command import Deadline, Problem, how_it_ended, parse_json, run, run_well

PEERS = machine.ROOT / "bench" / "peers"
sys.path.insert(0, str(PEERS))
from goals import is_large  # noqa: E402


@dataclass(frozen=True)
class Result:
    """The values that a row measured, and all problems of the row or of a part of it."""

    values: dict
    problems: tuple[str, ...] = ()
    unfinished: str | None = None  # the reason if the result is incomplete: the time was up


@dataclass(frozen=True)
class Context:
    """Passed to every row."""

    build: Path
    python: str
    device: str  # cuda or cpu
    peer_device: str
    data: str | None  # folder with MNIST
    rounds: int
    commit: str | None
    rehearse: bool
    folder: Path  # for temporary files
    keep: Callable[[Result], None]  # writes a preliminary result

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def program(self, name: str) -> Path:
        program = machine.programs(self.build).get(name)
        if program is None or not program.exists():
            missing = program or f"{name} in {self.build}"
            raise Problem(f"there is no {missing}: build it, or name another build with --build")
        return program


@dataclass(frozen=True)
class Row:
    name: str
    expected_s: float  # the row starts only if this much time is left
    measure: Callable[[Context, Deadline], Result]
    limit_s: float | None = None  # by default twice the expected time

    @property
    def longest_s(self) -> float:
        return self.limit_s or 2 * self.expected_s


@dataclass(frozen=True)
class Scope:
    """A restriction of the work of a part."""

    modes: tuple[str, ...] | None = None  # modes of the peers; None: each row's own
    rehearse: bool = False  # the smallest sizes: tries the command, measures nothing


@dataclass(frozen=True)
class Part:
    name: str
    summary: str
    rows: Callable[[Scope], tuple[Row, ...]]
    cpu_rows: Callable[[Scope], tuple[Row, ...]] = lambda scope: ()  # tried without a GPU


def read_test_log(log: str) -> dict:
    """Returns the names of the passed, failed and skipped tests in GoogleTest's output."""

    def names(label: str) -> list[str]:
        found = re.findall(rf"^\[ *{label} *\] (\S+?\.\S+?),? ", log + " ", re.MULTILINE)
        return sorted(set(found))

    return {"passed": names("OK"), "failed": names("FAILED"), "skipped": names("SKIPPED")}


# elbo looks for no library: own kernels compute every product, and nothing is autotuned first.
OWN_KERNELS = {machine.LIBRARIES: "none"}
FEW_SIZES = {"ELBO_TEST_FEW_SIZES": "1"}
REHEARSED_TESTS = "*CudaKernels.RandomFill*:*CudaKernels.PermutationFill*:*CudaBatch.GatherBatch/*"
OF_A_LIBRARY = "ProductTrialsTest.*"  # skipped without a library
TEST_ROWS = {
    "own kernels": (45, OWN_KERNELS, f"-{OF_A_LIBRARY}"),
    "kernels_gpu_test": (90, {}, "*"),
}
TESTS_LIMIT_S = 240  # the first run measures about 1500 candidates for products


def run_tests(environment: dict[str, str], tests: str) -> Callable[[Context, Deadline], Result]:
    def measure(context: Context, deadline: Deadline) -> Result:
        program = context.program("kernels_gpu_test")
        these = f"--gtest_filter={REHEARSED_TESTS if context.rehearse else tests}"
        sizes = FEW_SIZES if context.rehearse else {}
        output = run([program, these], deadline, **environment, **sizes)
        found = read_test_log(output.stdout)
        problems = []
        if output.code != 0:
            said = output.stderr or output.stdout
            problems.append(how_it_ended(program.name, output.code, said))
        for kind in ("failed", "skipped"):
            if found[kind]:
                problems.append(f"{len(found[kind])} {kind}: {', '.join(found[kind][:5])}")
        if not found["passed"]:
            problems.append("no test has passed")
        return Result(found, tuple(problems))

    return measure


SETTINGS = {"--hidden": 400, "--latent-dim": 20, "--likelihood": "bernoulli", "--seed": 1}
SETTINGS |= {"--steps": 1000, "--picture-count": 0}
REHEARSED = {"--hidden": 8, "--latent-dim": 2, "--batch-size": 8, "--steps": 40}
FEW_SHAPES = ("--size", 8, "--train-count", 64, "--test-count", 8)


def check_repeatability(context: Context, deadline: Deadline) -> Result:
    """Trains 1000 steps twice and compares the two checkpoints."""
    elbo = context.program("elbo")
    data = context.folder / "shapes"
    sizes = FEW_SHAPES if context.rehearse else ()
    run_well([elbo, "generate", "shapes", data, *sizes], deadline)
    settings = SETTINGS | (REHEARSED if context.rehearse else {})
    options = [part for setting in settings.items() for part in setting]
    checkpoints = []
    for run_folder in (context.folder / "first", context.folder / "second"):
        train = [elbo, "train", data, "--out", run_folder, "--device", context.device, *options]
        run_well([*train, "--quiet"], deadline)
        checkpoints.append((run_folder / "checkpoints" / "last.safetensors").read_bytes())
    same = checkpoints[0] == checkpoints[1]
    problems = () if same else ("two runs with one seed end with different weights",)
    return Result({"same_bits": same}, problems)


# Own kernels only, because initcheck would also report cuBLAS's memory. racecheck and synccheck
# check shared memory and barriers, so they run only on the kernels that use them: reductions, the
# end of a step, group normalisation, and products, which copy asynchronously.
ALL_KERNELS = "*CudaKernels.*:*CudaOptimizer.*:*CudaBatch.*:*CudaLosses.*:*CudaFeatureMap.*"
ALL_KERNELS += ":*CudaDense.*:*CudaConvolution.*"
SHARING_KERNELS = "*CudaKernels.LatentForward*:*CudaKernels.LikelihoodTerms*"
SHARING_KERNELS += (
    ":*CudaKernels.ColumnSum*:*CudaOptimizer.SquaredNorm*:*CudaOptimizer.EndsAStep*:*CudaLosses.*"
)
SHARING_KERNELS += ":*CudaFeatureMap.GroupNorm*:*CudaDense.*:*CudaConvolution.*"
SHARING_KERNELS += ":*ProductsCuda.ExactFactorsGiveExactProducts*"
SANITIZERS = {
    "memcheck": ALL_KERNELS,
    "racecheck": SHARING_KERNELS,
    "initcheck": ALL_KERNELS,
    "synccheck": SHARING_KERNELS,
}


def sanitize(tool: str) -> Callable[[Context, Deadline], Result]:
    def measure(context: Context, deadline: Deadline) -> Result:
        sanitizer = machine.sanitizer()
        if sanitizer is None:
            raise Problem(
                "compute-sanitizer, a part of the CUDA toolkit, is neither on PATH nor in the bin "
                "folder of $CUDA_HOME or /usr/local/cuda"
            )
        tests = REHEARSED_TESTS if context.rehearse else SANITIZERS[tool]
        program = context.program("kernels_gpu_test")
        check = [sanitizer, "--tool", tool, "--error-exitcode", 9]
        command = [*check, program, f"--gtest_filter={tests}"]
        log = run_well(command, deadline, **OWN_KERNELS, **FEW_SIZES)
        found = read_test_log(log)
        if not found["passed"] or found["skipped"]:
            ran, skipped = len(found["passed"]), len(found["skipped"])
            raise Problem(f"{ran} tests of {tests} ran and {skipped} were skipped")
        return Result({"tests": len(found["passed"])})

    return measure


def calibrate(part: str) -> Callable[[Context, Deadline], Result]:
    def measure(context: Context, deadline: Deadline) -> Result:
        program = context.program("elbo_calibrate")
        commit = ["--commit", context.commit] if context.commit else []
        short = ["--seconds", "1"] if context.rehearse else []
        output = run([program, "--parts", part, *commit, *short], deadline)
        failed = how_it_ended(program.name, output.code, output.stderr)
        if not output.stdout.strip():
            raise Problem(failed)
        values = parse_json(output.stdout, program.name)
        return Result(values, (failed,) if output.code else ())

    return measure


# Parts of elbo_calibrate, one process each, and the seconds that the process takes.
CALIBRATIONS = {"graph": 8, "launch": 10, "barrier": 6, "noise": 6, "memory": 8, "gemm": 45}


ON_CPU = ("--rows", "latent.*/128x|likelihood_terms/bernoulli/128x", "--benchmark_min_time=0.001")


def read_benchmark(text: str) -> tuple[dict, tuple[str, ...]]:
    """Returns the medians by row in Google Benchmark's file, and the errors of the other rows."""
    rows, problems = {}, {}
    for entry in json.loads(text)["benchmarks"]:
        name = entry["run_name"].removesuffix("/real_time")
        if entry.get("error_occurred"):
            problems[name] = f"{name}: {entry.get('error_message', 'an error')}"
        elif entry.get("aggregate_name") == "median":
            rows[name] = {"us": entry["real_time"]}
            rows[name] |= {key: entry[key] for key in ("GB/s", "%copy") if key in entry}
    return rows, tuple(problems.values())


# About 64 M elements, as in elbo_bench's op_rows.cpp. All other sizes would take minutes more.
LARGE_SIZES = "/(85599x784|67108864|2097152x32)$"
# The products of a step of 784-400-z20 with 128 rows: their times explain the time of the step.
STEP_PRODUCTS = "^dense_.*/(784x400|400x40|20x400|400x784)/B=128/tf32$"
# One process per op, so that a process that hangs or crashes loses only its own rows.
FUSED_OPS = ("gather_batch", "latent_forward", "latent_backward", "likelihood_terms")
FUSED_OPS += ("optimizer_update",)
OTHER_OPS = f"^(?!({'|'.join(FUSED_OPS)})/).*{LARGE_SIZES}"
KERNEL_ROWS = {op: (25, f"^{op}/.*{LARGE_SIZES}|^{op}{LARGE_SIZES}") for op in FUSED_OPS}
KERNEL_ROWS |= {"step products": (25, STEP_PRODUCTS), "other kernels": (50, OTHER_OPS)}


def time_kernels(pattern: str) -> Callable[[Context, Deadline], Result]:
    """Returns a function that times rows of elbo_bench, and the same formulas in PyTorch."""

    def measure(context: Context, deadline: Deadline) -> Result:
        program = context.program("elbo_bench")
        file = context.folder / "kernels.json"
        # A simulated GPU would need hours to copy a gigabyte, so a rehearsal times CPU kernels.
        on_gpu = context.on_gpu and not context.rehearse
        rows = ("--device", "cuda", "--rows", pattern) if on_gpu else ON_CPU
        quick = ("--threads", 1, "--benchmark_repetitions=3") if context.rehearse else ()
        output = run([program, *rows, *quick, f"--benchmark_out={file}"], deadline)
        if not file.exists():
            raise Problem(how_it_ended(program.name, output.code, output.stderr))
        rows, problems = read_benchmark(file.read_text())
        if output.code != 0 and not problems:
            problems = (how_it_ended(program.name, output.code, output.stderr),)
        if not rows and not problems:
            problems = (f"{program.name} has no row {pattern}",)
        values = {"rows": rows}
        context.keep(Result(values, problems, "without PyTorch's times: in progress"))
        peer = [context.python, PEERS / "pytorch_kernels.py", "--device", context.peer_device]
        compared = [row for row in rows if is_large(row) or not on_gpu]
        try:
            if compared:
                log = run_well([*peer, "--rows", *compared], deadline)
                values["pytorch"] = parse_json(log, "pytorch_kernels")
        except Problem as problem:
            problems += (str(problem),)
        return Result(values, problems)

    return measure


def always(*rows: Row) -> Callable[[Scope], tuple[Row, ...]]:
    return lambda scope: rows


TESTS = Part(
    "tests",
    "the CUDA tests on the GPU, none skipped: without libraries, then with them",
    always(
        *(
            Row(name, expected, run_tests(variables, tests), TESTS_LIMIT_S)
            for name, (expected, variables, tests) in TEST_ROWS.items()
        )
    ),
)
TWICE = Row("1000 steps twice", 40, check_repeatability)
REPEATABILITY = Part(
    "repeatability",
    "two trainings from one seed end with the same bits",
    always(TWICE),
    always(TWICE),
)
SANITIZER = Part(
    "sanitizer",
    "the kernels' tests, two sizes of each, under compute-sanitizer",
    always(*(Row(tool, 50, sanitize(tool), limit_s=120) for tool in SANITIZERS)),
)
CALIBRATION = Part(
    "calibration",
    "the GPU's own limits (elbo_calibrate)",
    always(*(Row(part, seconds, calibrate(part)) for part, seconds in CALIBRATIONS.items())),
)
KERNELS_PART = Part(
    "kernels",
    "the kernels on 64 M elements, checked, then timed; also PyTorch's; a step's products",
    always(*(Row(name, time, time_kernels(rows)) for name, (time, rows) in KERNEL_ROWS.items())),
    always(Row("elbo_bench", 30, time_kernels(""))),
)
