"""The parts of the check that are single commands: tests, repeatability, sanitizer, calibration,
kernels."""

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
class Context:
    """What every row is told."""

    build: Path
    python: str
    device: str  # cuda or cpu
    data: str | None  # folder of MNIST
    rounds: int
    folder: Path  # for files that nobody keeps

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def program(self, path: str) -> Path:
        program = self.build / path
        if not program.exists():
            raise Problem(f"there is no {program}: build it, or name another build with --build")
        return program


@dataclass(frozen=True)
class Result:
    """What a row measured, and what went wrong with it or with a part of it."""

    values: dict
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    name: str
    expected_s: float  # started only where so much time is left
    measure: Callable[[Context, Deadline], Result]


@dataclass(frozen=True)
class Part:
    name: str
    summary: str
    rows: tuple[Row, ...]
    cpu_rows: tuple[Row, ...] = ()  # what of it can be tried without a GPU


def read_test_log(log: str) -> dict:
    """The names of the tests that passed, failed or were skipped, from GoogleTest's output."""

    def names(label: str) -> list[str]:
        found = re.findall(rf"^\[ *{label} *\] (\S+?\.\S+?),? ", log + " ", re.MULTILINE)
        return sorted(set(found))

    return {"passed": names("OK"), "failed": names("FAILED"), "skipped": names("SKIPPED")}


def run_tests(context: Context, deadline: Deadline) -> Result:
    program = context.program("tests/kernels_gpu_test")
    output = run([program], deadline)
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


SETTINGS = ("--hidden", 400, "--latent-dim", 20, "--likelihood", "bernoulli")
SETTINGS += ("--seed", 1, "--steps", 1000, "--picture-count", 0, "--quiet")


def check_repeatability(context: Context, deadline: Deadline) -> Result:
    """Trains 1000 steps twice and compares the checkpoints."""
    elbo = context.program("elbo")
    data = context.folder / "shapes"
    run_well([elbo, "generate", "shapes", data], deadline)
    checkpoints = []
    for run_folder in (context.folder / "first", context.folder / "second"):
        train = [elbo, "train", data, "--out", run_folder, "--device", context.device, *SETTINGS]
        run_well(train, deadline)
        checkpoints.append((run_folder / "checkpoints" / "last.safetensors").read_bytes())
    same = checkpoints[0] == checkpoints[1]
    problems = () if same else ("two runs with one seed end with different weights",)
    return Result({"same_bits": same}, problems)


# cuBLAS's own memory is not ours to check for initialisation; racecheck follows every access to
# shared memory, so it gets only kernels that use it.
KERNELS = "*CudaKernels*:*CudaOptimizer*"
SANITIZERS = {
    "memcheck": KERNELS + ":*CudaDense*",
    "racecheck": "*LatentForward*:*LikelihoodTerms*:*ColumnSum*:*SquaredNorm*:*AdvanceStep*",
    "initcheck": KERNELS,
    "synccheck": KERNELS,
}


def sanitize(tool: str) -> Callable[[Context, Deadline], Result]:
    tests = SANITIZERS[tool]

    def measure(context: Context, deadline: Deadline) -> Result:
        sanitizer = machine.sanitizer()
        if sanitizer is None:
            raise Problem(
                "compute-sanitizer, a part of the CUDA toolkit, is neither on PATH nor in the bin "
                "folder of $CUDA_HOME or /usr/local/cuda"
            )
        program = context.program("tests/kernels_gpu_test")
        check = [sanitizer, "--tool", tool, "--error-exitcode", 9]
        log = run_well([*check, program, f"--gtest_filter={tests}"], deadline)
        found = read_test_log(log)
        if not found["passed"] or found["skipped"]:
            ran, skipped = len(found["passed"]), len(found["skipped"])
            raise Problem(f"{ran} tests of {tests} ran and {skipped} were skipped")
        return Result({"tests": len(found["passed"])})

    return measure


def calibrate(context: Context, deadline: Deadline) -> Result:
    program = context.program("bench/elbo_calibrate")
    return Result(parse_json(run_well([program], deadline), program.name))


ON_CPU = ("--rows", "latent.*/128x|likelihood_terms/bernoulli/128x", "--benchmark_min_time=0.001")


def read_benchmark(text: str) -> tuple[dict, tuple[str, ...]]:
    """From Google Benchmark's file: medians by row, and the rows that had an error."""
    rows, problems = {}, {}
    for entry in json.loads(text)["benchmarks"]:
        name = entry["run_name"].removesuffix("/real_time")
        if entry.get("error_occurred"):
            problems[name] = f"{name}: {entry.get('error_message', 'an error')}"
        elif entry.get("aggregate_name") == "median":
            rows[name] = {"us": entry["real_time"]}
            rows[name] |= {key: entry[key] for key in ("GB/s", "%copy") if key in entry}
    return rows, tuple(problems.values())


# Of some 64 M elements, as in elbo_bench's op_rows.cpp; the others take minutes more.
LARGE_ROWS = "/(85599x784|67108864|2097152x32)$"


def time_kernels(context: Context, deadline: Deadline) -> Result:
    """elbo's large rows, or a CPU's, and the same formulas in PyTorch."""
    program = context.program("bench/elbo_bench")
    file = context.folder / "kernels.json"
    device = ("--device", "cuda") if context.on_gpu else ON_CPU
    rows = ("--rows", LARGE_ROWS) if context.on_gpu else ()
    output = run([program, *device, *rows, f"--benchmark_out={file}"], deadline)
    if not file.exists():
        raise Problem(how_it_ended(program.name, output.code, output.stderr))
    rows, problems = read_benchmark(file.read_text())
    if output.code != 0 and not problems:
        problems = (how_it_ended(program.name, output.code, output.stderr),)
    values = {"rows": rows}
    peer = [context.python, PEERS / "pytorch_kernels.py", "--device", context.device, "--rows"]
    large = [row for row in rows if is_large(row) or not context.on_gpu]
    try:
        if large:
            values["pytorch"] = parse_json(run_well([*peer, *large], deadline), "pytorch_kernels")
    except Problem as problem:
        problems += (str(problem),)
    return Result(values, problems)


TESTS = Part(
    "tests",
    "the CUDA tests on the GPU, none skipped",
    (Row("kernels_gpu_test", 30, run_tests),),
)
TWICE = Row("1000 steps twice", 40, check_repeatability)
REPEATABILITY = Part(
    "repeatability", "two trainings from one seed end with the same bits", (TWICE,), (TWICE,)
)
SANITIZER = Part(
    "sanitizer",
    "the kernels' tests under compute-sanitizer",
    tuple(Row(tool, 20, sanitize(tool)) for tool in SANITIZERS),
)
CALIBRATION = Part(
    "calibration",
    "what this GPU can do at most (elbo_calibrate)",
    (Row("elbo_calibrate", 65, calibrate),),
)
ALL_KERNELS = Row("elbo_bench", 150, time_kernels)
KERNELS_PART = Part(
    "kernels",
    "the kernels on 64 M elements, checked, then timed; also PyTorch's",
    (ALL_KERNELS,),
    (ALL_KERNELS,),
)
