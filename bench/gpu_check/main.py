"""The command line, the time budget, and what is kept of each row."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from gpu_check import machine, parts, report, steps
from gpu_check.command import Deadline, OutOfTime, Problem
from gpu_check.parts import Context, Part, Row

PARTS = (
    parts.TESTS,
    parts.REPEATABILITY,
    parts.SANITIZER,
    parts.CALIBRATION,
    steps.STEPS,
    parts.KERNELS_PART,
    steps.LARGE_PART,
)
TARGETS = ("elbo_cli", "elbo_bench", "elbo_calibrate", "kernels_gpu_test")
PATIENCE = 2  # a row may take so many times what is expected
FAILED, USAGE, UNFINISHED = 1, 2, 3  # exit codes


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(
        prog="gpu-check",
        description="Tests, checks and measures elbo on this machine's GPU, against PyTorch and "
        "JAX, and writes what it found to a folder and to bench/RESULTS.md.",
        epilog=f"exit codes: 0 all passed, {FAILED} something failed, {USAGE} it could not start, "
        f"{UNFINISHED} the time was too short: go on with --resume",
    )
    add = parser.add_argument
    add("--build", type=Path, help="a build made elsewhere; by default build/cuda is made and used")
    add("--python", default=sys.executable, help="one that has torch, jax and numpy")
    add("--out", type=Path, default=Path("gpu-check"), help="folder of the results [gpu-check]")
    add("--parts", nargs="+", metavar="PART", choices=names, default=names, help="some parts alone")
    add("--list", action="store_true", help="say what the parts are")
    add("--resume", action="store_true", help="leave out what has succeeded in --out")
    add("--device", choices=("cuda", "cpu"), default="cuda",
        help="cpu: try what needs no GPU; RESULTS.md is left alone")  # fmt: skip
    add("--minutes", type=float, default=9, help="start no row that would take longer [9]")
    add("--rounds", type=int, default=7, help="turns of every side of a comparison [7]")
    add("--row-limit", type=float, metavar="SECONDS",
        help=f"stop a row after this; by default {PATIENCE} times what it should take")  # fmt: skip
    data = Path(os.environ.get("ELBO_DATA", "")) / "mnist"
    add("--data", default=str(data) if "ELBO_DATA" in os.environ else None,
        help="folder with MNIST; default $ELBO_DATA/mnist, else random bytes")  # fmt: skip
    add("--results", type=Path, default=report.RESULTS, help="file to update [bench/RESULTS.md]")
    add("--write-results", type=Path, metavar="OUT", help="update the file from OUT, nothing else")
    return parser.parse_args(arguments)


def list_parts() -> None:
    for part in PARTS:
        minutes = sum(row.expected_s for row in part.rows) / 60
        where = "; tried without a GPU too" if part.cpu_rows else ""
        print(f"{part.name:14} some {minutes:.1f} min: {part.summary}{where}")
        for row in part.rows:
            print(f"{'':14}   {row.name}")


def build() -> Path:
    """build/cuda, made where it is not there."""
    folder = machine.ROOT / "build" / "cuda"
    if folder.exists():
        return folder
    commands = (
        ["cmake", "--preset", "cuda"],
        ["cmake", "--build", folder, "--parallel", "--target", *TARGETS],
    )
    for command in commands:
        print(f"+ {shlex.join(map(str, command))}", flush=True)
        try:
            code = subprocess.run(command, cwd=machine.ROOT).returncode
        except OSError as error:
            raise Problem(f"{command[0]}: {error.strerror}") from None
        if code:
            raise Problem("the build failed (above); another may be named with --build")
    return folder


class Check:
    """One run: it knows where and with what it runs, and how much time is left."""

    def __init__(self, options: argparse.Namespace, arguments: list[str], gpu: dict | None):
        self.options = options
        self.ends = time.monotonic() + 60 * options.minutes
        self.command = shlex.join(["scripts/gpu-check", *arguments])
        self.date = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        self.machine = {
            "device": options.device,
            "gpu": gpu and gpu["gpu"],
            "driver": gpu and gpu["driver"],
            "versions": {"CUDA": gpu and gpu["cuda"], **machine.versions(options.python)},
            "commit": machine.commit(),
            "data": Path(options.data).name if options.data else "random bytes",
        }

    def saved_rows(self, part: Part) -> dict:
        """Rows of an earlier run on the same machine and from the same sources."""
        saved = report.load(self.options.out).get(part.name) if self.options.resume else None
        if saved is None:
            return {}
        if any(saved[key] != value for key, value in self.machine.items()):
            print(f"{part.name}: its results are of another machine, version or commit: anew")
            return {}
        return saved["results"]

    def run_row(self, row: Row) -> dict:
        """What is kept of a row. Throws OutOfTime."""
        options = self.options
        if time.monotonic() + row.expected_s > self.ends:
            raise OutOfTime
        start, values, problems = time.monotonic(), {}, ()
        deadline = Deadline(options.row_limit or PATIENCE * row.expected_s, self.ends)
        with tempfile.TemporaryDirectory() as folder:
            context = Context(
                build=options.build,
                python=options.python,
                device=options.device,
                data=options.data,
                rounds=options.rounds,
                folder=Path(folder),
            )
            try:
                result = row.measure(context, deadline)
                values, problems = result.values, result.problems
            except Problem as problem:
                problems = (str(problem),)
            except (LookupError, TypeError, ValueError) as error:  # an answer of another form
                problems = (f"{type(error).__name__}: {error}",)
        return {
            "date": self.date,
            "command": self.command,
            "wall_s": round(time.monotonic() - start, 1),
            "problems": list(problems),
            "values": values,
        }

    def run_part(self, part: Part) -> dict:
        """Runs a part's rows and writes its file after each. Returns what is in the file."""
        rows = part.rows if self.options.device == "cuda" else part.cpu_rows
        if not rows:
            return self.write(part, {}, [], "not run: it needs a GPU")
        done = self.saved_rows(part)
        for row in rows:
            if row.name in done and not done[row.name]["problems"]:
                print(f"{part.name}, {row.name}: passed before", flush=True)
                continue
            try:
                done[row.name] = self.run_row(row)
            except OutOfTime:
                continue  # a shorter one may fit
            verdict = "; ".join(done[row.name]["problems"]) or "passed"
            print(f"{part.name}, {row.name}: {verdict} ({done[row.name]['wall_s']} s)", flush=True)
            self.write(part, done, rows)
        return self.write(part, done, rows)

    def write(self, part: Part, done: dict, rows, status: str | None = None) -> dict:
        missing = [row.name for row in rows if row.name not in done]
        if not status and any(row["problems"] for row in done.values()):
            status = "failed"
        elif not status:
            status = "not run: no time was left" if missing else "passed"
        content = {
            "part": part.name,
            "date": self.date,
            **self.machine,
            "command": self.command,
            "wall_s": round(sum(row["wall_s"] for row in done.values()), 1),
            "status": status,
            "not_run": missing,
            "results": done,
        }
        path = self.options.out / f"{part.name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return content


def check(options: argparse.Namespace, arguments: list[str]) -> int:
    gpu = machine.gpu() if options.device == "cuda" else None
    if options.device == "cuda" and not gpu:
        raise Problem("nvidia-smi finds no GPU here; --device cpu tries what needs none")
    if options.data and not Path(options.data).is_dir():
        raise Problem(f"data: there is no folder {options.data}")
    options.build = (options.build or build()).resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    report.demand_device(report.load(options.out), options.device, options.out)

    this = Check(options, arguments, gpu)
    written = [this.run_part(part) for part in PARTS if part.name in options.parts]
    print()
    for part in written:
        left = f"; not run: {', '.join(part['not_run'])}" if part["not_run"] else ""
        print(f"{part['part']:14} {part['status']}{left}")
    if options.device == "cuda":
        print("\n" + report.table_of_run(report.load(options.out)))
        report.write_results(options.out, options.results)
    else:
        print("\nWithout a GPU: this tries the command and measures no goal.")
    if any(part["status"] == "failed" for part in written):
        return FAILED
    if any(part["not_run"] for part in written):
        print("The time was too short for all; go on with --resume.")
        return UNFINISHED
    return 0


def main(arguments: list[str]) -> int:
    options = parse_arguments(arguments)
    try:
        if options.list:
            list_parts()
        elif options.write_results:
            report.write_results(options.write_results, options.results)
        else:
            return check(options, arguments)
        return 0
    except (Problem, report.ResultsError, OSError) as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return USAGE
