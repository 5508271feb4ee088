"""The command line, the time budget, and the records of the rows."""

import argparse
import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from gpu_check import machine, parts, protocol, report, steps
from gpu_check.command import Deadline, OutOfTime, Problem
from gpu_check.parts import Context, Part, Result, Row, Scope
from gpu_check.protocol import Stage

PARTS = (
    steps.STEPS,
    parts.TESTS,
    parts.REPEATABILITY,
    parts.SANITIZER,
    parts.CALIBRATION,
    parts.KERNELS_PART,
    steps.LARGE_PART,
)
BY_NAME = {part.name: part for part in PARTS}
TARGETS = ("elbo_cli", "elbo_bench", "elbo_calibrate", "kernels_gpu_test")
REHEARSED_S = 5  # expected time of a row in a rehearsal
REHEARSED_LIMIT_S = 300
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
    add("--build", type=Path, help="build folder or unpacked archive; by default the archive this "
        "script is in, else build/cuda, which is made")  # fmt: skip
    add("--python", default=sys.executable, help="one that has torch, jax and numpy")
    add("--out", type=Path, help="folder of the results [gpu-check; of a call, gpu-check-CALL]")
    add("--call", type=int, choices=protocol.CALLS,
        help="parts and modes of a call of bench/GPU_PROTOCOL.md")  # fmt: skip
    add("--parts", nargs="+", metavar="PART", choices=names, help="some parts alone")
    add("--modes", nargs="*", metavar="MODE", choices=steps.EVERY,
        help="these of the peers' modes alone; none: elbo without peers")  # fmt: skip
    add("--list", action="store_true", help="list the parts and the calls")
    add("--resume", action="store_true", help="leave out rows that have succeeded in --out")
    add("--rehearse", action="store_true",
        help="the smallest sizes, on any device that claims to be a GPU: tries the command and "
        "measures nothing; RESULTS.md is left alone")  # fmt: skip
    add("--peer-device", choices=("cuda", "cpu"), help="in a rehearsal: the peers' device")
    add("--commit", help="of the sources; by default the archive's, or git's")
    add("--device", choices=("cuda", "cpu"), default="cuda",
        help="cpu: try what needs no GPU; RESULTS.md is left alone")  # fmt: skip
    add("--minutes", type=float, default=9, help="start no row that would take longer [9]")
    add("--rounds", type=int, default=7, help="turns of every side of a comparison [7]")
    add("--row-limit", type=float, metavar="SECONDS",
        help="stop a row after this; by default after twice its expected time or more")  # fmt: skip
    data = Path(os.environ.get("ELBO_DATA", "")) / "mnist"
    add("--data", default=str(data) if "ELBO_DATA" in os.environ else None,
        help="folder with MNIST; default $ELBO_DATA/mnist, else random bytes")  # fmt: skip
    add("--results", type=Path, default=report.RESULTS,
        help="file to update, by default bench/RESULTS.md; a new one is a copy of it")  # fmt: skip
    add("--write-results", type=Path, metavar="OUT", help="update the file from OUT, nothing else")
    options = parser.parse_args(arguments)
    options.out = options.out or Path(f"gpu-check-{options.call}" if options.call else "gpu-check")
    return options


def list_parts() -> None:
    for part in PARTS:
        rows = part.rows(Scope())
        minutes = sum(row.expected_s for row in rows) / 60
        where = "; tried without a GPU too" if part.cpu_rows(Scope()) else ""
        print(f"{part.name:14} some {minutes:.1f} min: {part.summary}{where}")
        for row in rows:
            print(f"{'':14}   {row.name}")
    for call, stages in protocol.CALLS.items():
        times = (protocol.expected_s(stage, BY_NAME[stage.part]) / 60 for stage in stages)
        shown = (f"{s.part} {t:.1f} min" for s, t in zip(stages, times, strict=True))
        print(f"--call {call}{'':7}{', '.join(shown)}")


def build() -> Path:
    """Returns the unpacked archive that contains this file, else build/cuda, which it builds if the
    folder does not exist."""
    if machine.manifest(machine.ROOT) is not None:
        return machine.ROOT
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
    """One run: its machine, its programs and the time that is left."""

    def __init__(self, options: argparse.Namespace, arguments: list[str], gpu: dict | None):
        self.options = options
        self.ends = time.monotonic() + 60 * options.minutes
        self.command = shlex.join(["scripts/gpu-check", *arguments])
        self.date = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        versions = machine.python_facts(options.python)["versions"]
        self.machine = {
            "device": options.device,
            "rehearsal": options.rehearse,
            "gpu": gpu and gpu["gpu"],
            "driver": gpu and gpu["driver"],
            "versions": {"CUDA": gpu and gpu["cuda"], **versions},
            "commit": options.commit,
            "data": Path(options.data).name if options.data else "random bytes",
        }

    def saved_rows(self, part: Part) -> dict:
        """Returns the rows of an earlier run on the same machine and from the same sources."""
        saved = report.load(self.options.out).get(part.name) if self.options.resume else None
        if saved is None:
            return {}
        if any(saved.get(key) != value for key, value in self.machine.items()):
            print(f"{part.name}: its results are of another machine, version or commit: anew")
            return {}
        return saved["results"]

    def limit_s(self, row: Row) -> float:
        usual = REHEARSED_LIMIT_S if self.options.rehearse else row.longest_s
        return self.options.row_limit or usual

    def run_row(self, row: Row, keep: Callable[[dict], None]) -> dict:
        """Measures a row and returns its record. Passes each preliminary record to `keep`. Throws
        OutOfTime."""
        options = self.options
        if time.monotonic() + row.expected_s > self.ends:
            raise OutOfTime
        start = time.monotonic()
        deadline = Deadline(self.limit_s(row), self.ends)

        def record(result: Result) -> dict:
            return {
                "date": self.date,
                "command": self.command,
                "wall_s": round(time.monotonic() - start, 1),
                "problems": list(result.problems),
                "unfinished": result.unfinished,
                "values": result.values,
            }

        with tempfile.TemporaryDirectory() as folder:
            context = Context(
                build=options.build,
                python=options.python,
                device=options.device,
                peer_device=options.peer_device or options.device,
                data=options.data,
                rounds=options.rounds,
                commit=options.commit,
                rehearse=options.rehearse,
                folder=Path(folder),
                keep=lambda result: keep(record(result)),
            )
            try:
                return record(row.measure(context, deadline))
            except Problem as problem:
                return record(Result({}, (str(problem),)))
            except (LookupError, TypeError, ValueError) as error:  # a malformed answer
                return record(Result({}, (f"{type(error).__name__}: {error}",)))

    def run_stage(self, stage: Stage) -> dict:
        """Runs the rows of a part and writes its file after each. Returns the file's content."""
        part, options = BY_NAME[stage.part], self.options
        modes = stage.modes if options.modes is None else tuple(options.modes)
        rows = protocol.rows_of(part, Scope(modes, options.rehearse), options.device)
        if options.rehearse:
            rows = tuple(dataclasses.replace(row, expected_s=REHEARSED_S) for row in rows)
        if not rows:
            return self.write(part, {}, [], "not run: it needs a GPU")
        done = self.saved_rows(part)
        for row in rows:
            name = row.name
            if name in done and not done[name]["problems"] and not done[name].get("unfinished"):
                print(f"{part.name}, {name}: passed before", flush=True)
                continue
            try:
                done[name] = self.run_row(
                    row, lambda so_far, name=name: self.write(part, done | {name: so_far}, rows)
                )
            except OutOfTime:
                continue  # a shorter row may fit
            unfinished = done[name]["unfinished"]
            verdict = "; ".join([*done[name]["problems"], *([unfinished] if unfinished else [])])
            print(f"{part.name}, {name}: {verdict or 'passed'} ({done[name]['wall_s']} s)",
                  flush=True)  # fmt: skip
            self.write(part, done, rows)
        return self.write(part, done, rows)

    def write(self, part: Part, done: dict, rows, status: str | None = None) -> dict:
        missing = [row.name for row in rows if row.name not in done]
        missing += [name for name, row in done.items() if row.get("unfinished")]
        if not status and any(row["problems"] for row in done.values()):
            status = "failed"
        elif not status:
            status = "not finished: no time was left" if missing else "passed"
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
        written = path.with_suffix(".part")
        written.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        written.replace(path)  # atomic: a run that is killed leaves the last complete file
        return content


def find_gpu(options: argparse.Namespace) -> dict | None:
    if options.device != "cuda":
        return None
    gpu = machine.gpu()
    if gpu is None and options.rehearse:
        return {"gpu": "none: a rehearsal", "driver": None, "cuda": None}
    if gpu is None:
        raise Problem("nvidia-smi finds no GPU here; --device cpu tries the parts that need none")
    return gpu


def prepare(options: argparse.Namespace) -> None:
    """Completes the options and checks them."""
    if options.data and not Path(options.data).is_dir():
        raise Problem(f"data: there is no folder {options.data}")
    if options.peer_device and not options.rehearse:
        raise Problem("--peer-device is for a rehearsal: peers are measured on elbo's device")
    options.build = (options.build or build()).resolve()
    if not machine.programs(options.build):
        raise Problem(f"{options.build} has neither programs.json, which CMake writes, nor an "
                      "archive's manifest.json")  # fmt: skip
    options.commit = options.commit or machine.commit(options.build)
    options.out.mkdir(parents=True, exist_ok=True)
    report.demand_kind(report.load(options.out), options.device, options.rehearse, options.out)
    if not options.results.exists():
        shutil.copyfile(report.RESULTS, options.results)
    if options.device == "cuda" and not options.rehearse:
        print(f"{machine.LIBRARIES}={machine.offer_libraries(options.python)}", flush=True)


def check(options: argparse.Namespace, arguments: list[str]) -> int:
    gpu = find_gpu(options)
    prepare(options)
    this = Check(options, arguments, gpu)
    print(json.dumps(this.machine, ensure_ascii=False), flush=True)
    stages = protocol.stages_of(options.call, options.parts, PARTS)
    written = [this.run_stage(stage) for stage in stages]
    print()
    for part in written:
        left = f"; not run to the end: {', '.join(part['not_run'])}" if part["not_run"] else ""
        print(f"{part['part']:14} {part['status']}{left}")
    if options.rehearse or options.device == "cpu":
        kind = "A rehearsal" if options.rehearse else "Without a GPU"
        print(f"\n{kind}: this tries the command and measures no goal. No number counts.")
    if options.device == "cuda":
        print(report.tables_of_run(report.load(options.out)))
        if not options.rehearse:
            report.write_results(options.out, options.results)
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
            print(report.tables_of_run(report.load(options.write_results)))
        else:
            return check(options, arguments)
        return 0
    except (Problem, report.ResultsError, OSError) as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return USAGE
