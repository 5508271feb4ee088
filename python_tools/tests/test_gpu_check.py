"""Tests scripts/gpu-check with fake programs: the calls it makes, and the results it writes."""

import dataclasses
import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench" / "peers")]
import goals  # noqa: E402
import predictions  # noqa: E402
from gpu_check import machine as facts  # noqa: E402
from gpu_check import parts, protocol, report  # noqa: E402
from gpu_check.command import Deadline, OutOfTime, Problem, Server  # noqa: E402
from gpu_check.main import BY_NAME, PARTS  # noqa: E402
from gpu_check.parts import (  # noqa: E402
    SANITIZERS,
    Context,
    Result,
    Scope,
    read_benchmark,
    read_test_log,
)
from gpu_check.steps import EVERY, LARGE, SMALL, Comparison  # noqa: E402

NOT_MEASURED = "not yet measured on a GPU"
STEP_ROW = SMALL[0].name
PICTURES = next(setting.name for setting in LARGE if setting.model.startswith("conv-"))

# One script fakes all programs; its name selects one. Tests set its behaviour with `mood`.
FAKE = r"""
import json, os, re, sys, time

folder = os.environ["FAKE_FOLDER"]
mood = json.load(open(folder + "/mood.json"))
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
if name == "python" and arguments[0] != "-c":
    name = os.path.basename(arguments[0])
with open(folder + "/calls.log", "a") as log:
    print(name, *(a.partition("\n")[0] for a in arguments), file=log)


def value(option, default=None):
    return arguments[arguments.index(option) + 1] if option in arguments else default


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def answer(side, milliseconds, seed):
    loss = 100.0 + 0.1 * seed + mood.get("loss of " + side, 0.0)
    print(json.dumps({
        "side": side, "device": mood.get("device", "NVIDIA H200"), "model": value("--model"),
        "batch": int(value("--batch")), "steps": 100, "seed": seed, "step_ms": milliseconds,
        "final_loss": loss, "precision": mood.get("precision", value("--precision")),
        "iwae": int(value("--iwae", 0)), "libraries": mood.get("libraries", "cuBLASLt 130400"),
        "notes": mood.get("notes", []),
    }), flush=True)


def serve(side, milliseconds):
    for line in sys.stdin:
        command, *seed = line.split()
        with open(folder + "/calls.log", "a") as log:
            print("told", side, line.strip(), file=log)
        if side in mood.get("crash", []) and command == "run":
            sys.exit(f"{side} fell over")
        time.sleep(mood.get("seconds", {}).get(f"{side} {command}", 0))
        if seed:
            time.sleep(mood.get("seconds", {}).get(f"{side} {line.strip()}", 0))
        if command == "prepare":
            print(json.dumps({"prepared_s": 1.0}), flush=True)
        else:
            answer(side, milliseconds, int(seed[0]))


if name in mood.get("slow", []):
    time.sleep(60)
if name in mood.get("crash", []):
    sys.exit(f"{name} fell over")
if name == "nvidia-smi":
    query = "NVIDIA H200, " + mood.get("driver", "580.1")
    print(query if any("query" in a for a in arguments) else "| CUDA Version: 13.0  |")
elif name == "python":
    versions = {"python": "3.12", "torch": "2.0", "jax": "0.4"} | mood.get("versions", {})
    print(json.dumps({"versions": versions, "libraries": mood.get("folders", [])}))
elif name == "compute-sanitizer":
    program = next(i for i, a in enumerate(arguments) if a.endswith("kernels_gpu_test"))
    os.execv(arguments[program], arguments[program:])
elif name == "kernels_gpu_test":
    with open(folder + "/calls.log", "a") as log:
        print("environment", os.environ.get("ELBO_CUDA_LIBRARIES"), file=log)
    if mood.get("no GPU"):
        print("skipped, all 3 tests: no GPU")
        sys.exit(77)
    skipped, failed = mood.get("skipped", []), mood.get("failed", [])
    tests = [t for t in ("RandomFill", "PermutationFill", "GatherBatch") if t not in skipped]
    for test in tests:
        verdict = "  FAILED  " if test in failed else "       OK "
        print(f"[{verdict}] Cuda/CudaKernels.{test}/gpu (3 ms)")
    for test in skipped:
        print(f"[  SKIPPED ] Cuda/CudaKernels.{test}/gpu (0 ms)")
    sys.exit(1 if failed else 0)
elif name == "elbo":
    if arguments[0] == "train":
        checkpoints = value("--out") + "/checkpoints"
        os.makedirs(checkpoints)
        weights = value("--out") if mood.get("random") else "weights"
        write(checkpoints + "/last.safetensors", weights)
elif name == "elbo_calibrate":
    print(mood.get("calibration", '{"edge_us": 1.0}'))
elif name == "elbo_bench" and arguments[0] == "step":
    write(value("--write-initial-weights"), "weights")
    serve("elbo", 0.050)
elif name == "elbo_bench":
    out = next(a for a in arguments if a.startswith("--benchmark_out=")).partition("=")[2]
    names = ["gather_batch/u8-raw/85599x784", "latent_forward/2097152x32",
             "latent_backward/2097152x32", "likelihood_terms/bernoulli/85599x784",
             "optimizer_update/adam/67108864", "kl_weights/2097152x32", "latent_forward/128x20",
             "dense_forward/relu/784x400/B=128/tf32", "dense_forward/relu/784x400/B=128/bf16"]
    rows = [{"run_name": n + "/real_time", "real_time": 300.0, "aggregate_name": "median",
             "%copy": 91.0} for n in names if re.search(value("--rows", ""), n)]
    if mood.get("no row of", "nothing") in value("--rows", ""):
        sys.exit("killed")
    write(out, json.dumps({"benchmarks": rows}))
elif name == "pytorch_kernels.py":
    rows = arguments[arguments.index("--rows") + 1 :]
    print(json.dumps({"rows": {row: {"eager_us": 1800.0, "inductor_us": 270.0} for row in rows}}))
elif name in ("pytorch_gpu.py", "jax_gpu.py"):
    mode = value("--mode")
    times = {"example": 6.0, "eager": 0.45, "graph": 0.15, "scan": 0.08} | mood.get("times", {})
    serve(mode, times.get(mode, 0.2))
"""


class Machine:
    """A fake GPU machine: its programs, a copy of RESULTS.md, and functions that run gpu-check."""

    MACHINES_OWN = ("bin/nvidia-smi", "bin/compute-sanitizer", "bin/python")
    # Unusual folders: the path of a program must be read from CMake's list.
    BUILT = {
        "elbo": "made/elbo",
        "kernels_gpu_test": "made/of tests/kernels_gpu_test",
        "elbo_bench": "made/elbo_bench",
        "elbo_calibrate": "elsewhere/elbo_calibrate",
    }

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "build").mkdir()
        (folder / "build" / "programs.json").write_text(json.dumps(self.BUILT))
        for program in (*self.MACHINES_OWN, *(f"build/{path}" for path in self.BUILT.values())):
            path = folder / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!{sys.executable} -IS\n{FAKE}")  # -IS reduces the start time
            path.chmod(0o755)
        self.out = folder / "out"
        self.results = folder / "RESULTS.md"
        self.results.write_text((ROOT / "bench" / "RESULTS.md").read_text())
        self.be()

    def be(self, **mood) -> None:
        (self.folder / "mood.json").write_text(json.dumps(mood))

    def start(self, *arguments, **environment) -> subprocess.Popen:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        unset = ("ELBO_DATA", "ELBO_CUDA_LIBRARIES")
        variables = {k: v for k, v in os.environ.items() if k not in unset}
        variables |= {"PATH": path, "FAKE_FOLDER": str(self.folder), **environment}
        folders = ("--build", self.folder / "build", "--out", self.out, "--results", self.results)
        command = [sys.executable, ROOT / "scripts" / "gpu-check", *folders]
        command += ["--python", self.folder / "bin" / "python", "--rounds", 2, *arguments]
        return subprocess.Popen(
            [str(part) for part in command],
            env=variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def check(self, *arguments, expected: int = 0, **environment) -> str:
        """Returns the output of gpu-check, which must end with the exit code `expected`."""
        process = self.start(*arguments, **environment)
        output, _ = process.communicate()
        assert process.returncode == expected, output
        assert "Traceback" not in output
        return output

    def part(self, name: str) -> dict:
        return json.loads((self.out / f"{name}.json").read_text())

    def calls(self) -> list[str]:
        """Returns the program calls since the last call of this function."""
        log = self.folder / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def goal_results(self) -> dict[tuple[str, str], str]:
        table = report.cut(self.results.read_text(), report.TABLE)[1]
        return {key[:2]: result for key, result in report.known_results(table).items()}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_everything_passes_and_is_recorded(machine):
    output = machine.check()
    names = ("tests", "repeatability", "sanitizer", "calibration", "steps", "kernels", "large")
    assert sorted(path.stem for path in machine.out.iterdir()) == sorted(names)
    for name in names:
        part = machine.part(name)
        assert (part["status"], part["not_run"]) == ("passed", [])
        assert (part["gpu"], part["driver"], part["device"]) == ("NVIDIA H200", "580.1", "cuda")
        assert part["versions"] == {"CUDA": "13.0", "python": "3.12", "torch": "2.0", "jax": "0.4"}
        assert part["command"].startswith("scripts/gpu-check --build")
        assert {"date", "commit", "wall_s", "data"} <= part.keys()
    calibration = machine.part("calibration")["results"]
    assert calibration.keys() == parts.CALIBRATIONS.keys()
    assert calibration["graph"]["values"] == {"edge_us": 1.0}
    assert machine.part("sanitizer")["results"].keys() == SANITIZERS.keys()
    assert "120.00 ×, 50 µs against 6 ms: reached" in output

    results = machine.goal_results()
    step = goals.STEP
    assert results[step, "PyTorch's VAE example, unchanged"].startswith("120.00 ×")
    eager = results[step, "PyTorch eager, data on the GPU, its fastest Adam"]
    assert eager.startswith("9.00 ×, 50 µs against 450 µs: not reached (NVIDIA H200, 20")
    assert results["time of that step on an H200", ""].startswith("50 µs: reached")
    # 1800 and 270 µs against 300; only rows of 64 M elements count.
    assert results["fused kernels, 64 M elements", "PyTorch eager"].startswith("6.00 ×")
    assert "not reached" in results["fused kernels, 64 M elements", "Inductor"]
    assert results["fused kernels, 64 M elements", "the device's measured copy rate"].startswith(
        "91 % (gather_batch/u8-raw/85599x784"
    )
    assert "the same bits: reached" in results["noise and batch order", "the CPU's"]
    assert "the same bits: reached" in results["weights after 1000 steps, twice", "each other"]
    unmeasured = [goal for goal in goals.GOALS if not goal.part]
    assert all(results[goal.metric, goal.peer] == NOT_MEASURED for goal in unmeasured)
    assert sum(result == NOT_MEASURED for result in results.values()) == len(unmeasured)


def test_sides_take_turns(machine):
    machine.check("--parts", "steps")
    calls = machine.calls()
    first = [c for c in calls if "784-400-z20 --batch 128" in c]
    assert [c.split()[0] for c in first].count("elbo_bench") == 1  # one process serves all rounds
    told = [c.split()[1:] for c in calls if c.startswith("told")]
    turns = [(side, *line) for side, *line in told if line[0] == "run"][: 2 * (len(EVERY) + 1)]
    assert turns == [(s, "run", n) for n in ("1", "2") for s in ("elbo", *SMALL[0].modes)]
    rounds = machine.part("steps")["results"][STEP_ROW]["values"]["sides"]
    assert list(rounds) == ["elbo", *SMALL[0].modes]
    assert all(len(side["rounds_ms"]) == 2 for side in rounds.values())
    assert all("--seed" not in c for c in first if "elbo_bench" not in c)


@pytest.mark.parametrize(
    "mood, problem",
    [
        ({"failed": ["RandomFill"]}, "1 failed: Cuda/CudaKernels.RandomFill/gpu"),
        ({"skipped": ["GatherBatch"]}, "1 skipped: Cuda/CudaKernels.GatherBatch/gpu"),
        ({"no GPU": True}, "kernels_gpu_test: exit code 77: skipped, all 3 tests: no GPU"),
        ({"crash": ["kernels_gpu_test"]}, "exit code 1: kernels_gpu_test fell over"),
    ],
)
def test_tests_that_fail_or_are_skipped_fail_the_part_alone(machine, mood, problem):
    machine.be(**mood)
    output = machine.check("--parts", "tests", "calibration", expected=1)
    assert problem in output
    tests = machine.part("tests")
    assert tests["status"] == "failed"
    assert any(problem in p for p in tests["results"]["kernels_gpu_test"]["problems"])
    assert machine.part("calibration")["status"] == "passed"
    assert (
        "the same bits: reached" not in machine.goal_results()["noise and batch order", "the CPU's"]
    )
    assert problem in machine.results.read_text()  # the history contains it


def test_a_program_that_is_not_built_is_named(machine):
    (machine.folder / "build" / machine.BUILT["elbo_calibrate"]).unlink()
    output = machine.check("--parts", "calibration", expected=1)
    assert "elbo_calibrate: build it, or name another build with --build" in output


def test_what_takes_too_long_is_stopped_and_the_next_goes_on(machine):
    machine.be(slow=["kernels_gpu_test"])
    output = machine.check("--parts", "tests", "calibration", "--row-limit", 3, expected=1)
    assert "kernels_gpu_test had not ended after 3 s" in output
    assert machine.part("tests")["status"] == "failed"
    assert machine.part("calibration")["status"] == "passed"


def test_a_peer_that_falls_over_leaves_the_others_measured(machine):
    machine.be(crash=["graph"], versions={"jax": None})
    machine.check("--parts", "steps", expected=1)
    row = machine.part("steps")["results"][STEP_ROW]
    assert "graph: exit code 1: graph fell over" in row["problems"]
    assert any(p.startswith("scan: ") and p.endswith("has no jax") for p in row["problems"])
    assert {"elbo", "eager"} <= row["values"]["sides"].keys()
    assert not {"graph", "scan"} & row["values"]["sides"].keys()
    results = machine.goal_results()
    assert results[goals.STEP, "PyTorch with the step as a CUDA graph"] == NOT_MEASURED
    assert results[goals.STEP, "PyTorch eager, data on the GPU, its fastest Adam"] != NOT_MEASURED


def test_a_peer_that_hangs_is_given_up():
    server = Server("graph", [sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(Problem, match="graph, told to prepare, had not ended after 0.1 s"):
        server.ask("prepare", Deadline(60, time.monotonic() + 60).within(0.1))
    with pytest.raises(OutOfTime):  # the row had time left, but the whole run did not
        server.ask("prepare", Deadline(60, time.monotonic() + 0.1))
    server.close()
    assert server.process.returncode == -signal.SIGKILL


ONE_ROW = dataclasses.replace(SMALL[0], modes=("eager", "graph", "scan"))


@pytest.fixture
def comparison(machine, tmp_path, monkeypatch):
    """Returns a function that runs a comparison within time limits. Its attribute `kept` lists the
    intermediate results."""
    monkeypatch.setenv("FAKE_FOLDER", str(machine.folder))
    facts.python_facts.cache_clear()

    def compare(row_s: float = 60, run_s: float = 60, setting=ONE_ROW, **changed) -> Result:
        compare.kept = []
        context = {
            "build": machine.folder / "build",
            "python": str(machine.folder / "bin" / "python"),
            "device": "cuda",
            "peer_device": "cuda",
            "data": None,
            "rounds": 3,
            "commit": None,
            "rehearse": False,
            "folder": tmp_path,
            "keep": compare.kept.append,
        }
        deadline = Deadline(row_s, time.monotonic() + run_s)
        return Comparison(setting, Context(**context | changed), deadline).run()

    return compare


def rounds_of(result: Result) -> dict[str, int]:
    return {name: side["rounds"] for name, side in result.values["sides"].items()}


def test_a_result_is_kept_after_every_round(comparison):
    result = comparison()
    assert [kept.values["rounds"] for kept in comparison.kept] == [1, 2, 3]
    assert comparison.kept[0].unfinished == "1 of 3 rounds: in progress"
    assert (result.problems, result.unfinished) == ((), None)


def test_a_side_that_does_not_get_ready_is_dropped_and_not_the_row(machine, comparison):
    machine.be(seconds={"graph prepare": 60})
    result = comparison(row_s=20)
    assert rounds_of(result) == {"elbo": 3, "eager": 3, "scan": 3}
    (problem,) = result.problems
    assert problem.startswith("graph, told to prepare, had not ended after ")
    assert result.unfinished is None


def test_a_side_that_misses_its_turn_keeps_its_earlier_rounds(machine, comparison):
    machine.be(seconds={"graph run 2": 60})
    result = comparison(row_s=12)
    assert rounds_of(result) == {"elbo": 3, "eager": 3, "graph": 1, "scan": 3}
    (problem,) = result.problems
    assert problem.startswith("graph, told to run 2, had not ended after ")


@pytest.mark.parametrize("limits", [{"row_s": 10, "run_s": 60}, {"row_s": 60, "run_s": 10}])
def test_a_row_out_of_time_keeps_what_it_has_measured(machine, comparison, limits):
    machine.be(seconds={f"{mode} run": 1 for mode in ONE_ROW.modes})  # a turn may take about 2 s
    result = comparison(**limits, rounds=5)
    rounds = result.values["rounds"]
    assert 1 <= rounds < 5
    assert result.unfinished == f"{rounds} of 5 rounds: the time was up"
    assert result.problems == ()


def test_an_elbo_that_falls_over_keeps_the_rounds_before(machine, comparison):
    machine.be(seconds={"elbo run 2": 60})
    result = comparison(row_s=12)
    assert rounds_of(result) == {"elbo": 1, "eager": 1, "graph": 1, "scan": 1}
    assert result.problems[0].startswith("elbo, told to run 2, had not ended after ")


def test_a_row_cut_short_is_recorded_and_goes_on_with_resume(machine):
    machine.be(seconds={"elbo run": 2})
    some = ("--parts", "steps", "--modes", "--rounds", 7, "--row-limit", 8)
    machine.check(*some, expected=3)
    steps = machine.part("steps")
    assert steps["status"] == "not finished: no time was left"
    assert STEP_ROW in steps["not_run"]
    rounds = steps["results"][STEP_ROW]["values"]["rounds"]
    assert 1 <= rounds < 7
    assert f"{rounds} of 7 rounds: the time was up" in machine.results.read_text()
    machine.be()
    machine.check("--parts", "steps", "--modes", "--rounds", 7, "--resume")
    assert machine.part("steps")["results"][STEP_ROW]["values"]["rounds"] == 7


def test_a_killed_run_leaves_the_rounds_before(machine):
    machine.be(seconds={"elbo run 2": 60})
    path = machine.out / "steps.json"
    process = machine.start("--parts", "steps", "--modes")
    try:
        for _ in range(600):
            if path.exists():
                break
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    row = machine.part("steps")["results"][STEP_ROW]
    assert (row["values"]["rounds"], row["unfinished"]) == (1, "1 of 2 rounds: in progress")


@pytest.mark.parametrize(
    "row, mood, problem",
    [
        (LARGE[0], {"libraries": ""}, "elbo without cuBLASLt (folders to look in: ELBO_CUDA_"),
        (
            next(setting for setting in LARGE if setting.name == PICTURES),
            {"notes": ["convolutions by own kernels alone: no libcudnn.so.9"]},
            "elbo without cuDNN (folders to look in: ELBO_CUDA_LIBRARIES): convolutions by own "
            "kernels alone: no libcudnn.so.9",
        ),
    ],
)
def test_a_large_row_without_its_library_has_not_passed(machine, comparison, row, mood, problem):
    assert comparison(setting=row).problems == ()
    machine.be(**mood)
    (found,) = comparison(setting=row).problems
    assert found.startswith(problem)


def test_the_fastest_graph_and_the_notes_are_recorded(machine, comparison):
    chain, branches = "graph, one chain: 16 nodes, 52.0 us a run", "graph, branches: 16 nodes, "
    machine.be(notes=[chain, branches[:-2] + " and 4 of 3 library products, 46.0 us a run"])
    values = comparison().values
    assert (values["graph"], values["libraries"]) == ("branches", "cuBLASLt 130400")
    assert values["notes"][0] == chain


def test_elbo_finds_the_libraries_of_the_python(machine):
    machine.be(folders=["/site/nvidia/cu13/lib", "/site/nvidia/cudnn/lib"])
    output = machine.check("--parts", "tests")
    folders = "/site/nvidia/cu13/lib:/site/nvidia/cudnn/lib"
    assert f"ELBO_CUDA_LIBRARIES={folders}" in output
    environments = [c.split()[1] for c in machine.calls() if c.startswith("environment")]
    assert environments == ["none", folders]  # first only own kernels, then the libraries
    machine.check("--parts", "tests", ELBO_CUDA_LIBRARIES="/mine")
    assert "environment /mine" in machine.calls()


def test_libraries_are_found_in_wheels(tmp_path):
    for file in ("cu13/lib/libcublasLt.so.13", "cudnn/lib/libcudnn.so.9", "cufft/lib/libcufft.so"):
        (tmp_path / "nvidia" / file).parent.mkdir(parents=True)
        (tmp_path / "nvidia" / file).touch()
    done = subprocess.run(
        [sys.executable, "-S", "-c", facts.FACTS],  # without the packages installed here
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)["libraries"]
    assert found[:2] == [str(tmp_path / "nvidia" / f) for f in ("cu13/lib", "cudnn/lib")]


def test_python_is_asked_once_and_patiently(machine, monkeypatch):
    machine.check("--parts", "steps", "--modes", "eager", "scan")
    asked = [c for c in machine.calls() if c.startswith("python -c")]
    assert len(asked) == 1
    limits = []
    monkeypatch.setattr(
        facts.subprocess, "run", lambda *_, timeout, **__: limits.append(timeout) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        facts.python_facts("a python that no test has asked")
    assert limits == [180]


def test_modes_are_chosen(machine):
    machine.check("--parts", "steps", "--modes", "graph", "example")
    results = machine.part("steps")["results"]
    assert list(results[STEP_ROW]["values"]["sides"]) == ["elbo", "example", "graph"]
    assert list(results[SMALL[1].name]["values"]["sides"]) == ["elbo", "graph"]


def test_everything_lies_in_one_folder(machine):
    machine.results = machine.out / "RESULTS.md"
    machine.check("--commit", "abc1234567")
    names = {path.name for path in machine.out.iterdir()}
    assert names == {*(f"{part.name}.json" for part in PARTS), "RESULTS.md"} and len(names) == 8
    assert machine.part("steps")["commit"] == "abc1234567"
    assert any("--commit abc1234567" in c for c in machine.calls() if "elbo_calibrate" in c)
    assert "commit abc1234567" in machine.results.read_text()


def test_programs_of_an_unpacked_archive(machine):
    build = machine.folder / "build"
    (build / "programs.json").unlink()
    machine.check("--parts", "tests", expected=2)
    (build / "bin").mkdir()
    for name, path in machine.BUILT.items():
        (build / path).rename(build / "bin" / name)
    (build / "manifest.json").write_text(json.dumps({"commit": "0123456789"}))
    machine.check("--parts", "tests", "repeatability")
    assert machine.part("tests")["commit"] == "0123456789"


def test_kernels_that_fall_over_take_no_others_with_them(machine):
    machine.be(**{"no row of": "^optimizer_update"})
    machine.check("--parts", "kernels", expected=1)
    results = machine.part("kernels")["results"]
    assert results.keys() == parts.KERNEL_ROWS.keys()
    assert [name for name, row in results.items() if row["problems"]] == ["optimizer_update"]
    rows = [name for row in results.values() for name in row["values"].get("rows", ())]
    assert len(rows) == len(set(rows)) == 6  # no row twice
    # The goal is the minimum over five ops; four of them do not determine it.
    copy_rate = "fused kernels, 64 M elements", "the device's measured copy rate"
    assert machine.goal_results()[copy_rate] == NOT_MEASURED


TERMS = sorted({term for tests in SANITIZERS.values() for term in tests.split(":")})


def test_names_of_tests():
    """gpu_tests finds the tests in the sources of kernels_gpu_test."""
    assert "CudaOptimizer.EndsAStep" in gpu_tests() and "GraphOf.HasSixteenNodesAStep" in gpu_tests()


def gpu_tests() -> set[str]:
    sources = [*(ROOT / "tests").glob("*_cuda_test.cpp"), *(ROOT / "tests").glob("*_gpu_test.cpp")]
    found = [re.findall(r"^TEST(?:_[FP])?\((\w+), (\w+)\)", p.read_text(), re.M) for p in sources]
    return {f"{suite}.{test}" for names in found for suite, test in names}


@pytest.mark.parametrize("term", [*TERMS, *parts.REHEARSED_TESTS.split(":"), parts.OF_A_LIBRARY])
def test_every_term_of_a_filter_matches_tests(term):
    # A backend test is named Cuda/Suite.Test/Gpu.
    names = [*gpu_tests(), *(f"Cuda/{name}/Gpu" for name in gpu_tests())]
    assert any(fnmatch.fnmatchcase(name, term) for name in names)


def test_the_sanitizer_covers_every_kind_of_kernel():
    def covered(tool: str) -> set[str]:
        terms = SANITIZERS[tool].split(":")
        tests = {name: f"Cuda/{name}/Gpu" for name in gpu_tests()}
        return {n for n, full in tests.items() if any(fnmatch.fnmatchcase(full, t) for t in terms)}

    shared = {"CudaOptimizer.EndsAStep", "CudaDense.Forward", "CudaFeatureMap.GroupNormForward"}
    shared |= {"CudaFeatureMap.GroupNormBackward", "CudaConvolution.BackwardWeights"}
    for tool in SANITIZERS:
        assert shared <= covered(tool), tool
    assert {"CudaBatch.GatherBatch", "CudaKernels.LatentBackward"} <= covered("memcheck")


def test_sanitized_tests_use_own_kernels_and_few_sizes(machine):
    machine.check("--parts", "sanitizer")
    calls = machine.calls()
    assert [c for c in calls if c.startswith("environment")] == ["environment none"] * 4


def test_a_rehearsal_is_no_measurement(machine):
    before = machine.results.read_text()
    (machine.folder / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    for call in protocol.CALLS:
        output = machine.check("--call", call, "--rehearse", "--peer-device", "cpu")
        assert "A rehearsal: this tries the command and measures no goal." in output
    assert {path.stem for path in machine.out.iterdir()} == BY_NAME.keys()
    assert machine.results.read_text() == before
    calls = machine.calls()
    peers = [c for c in calls if c.startswith(("pytorch_gpu.py", "jax_gpu.py"))]
    assert peers and all("--device cpu" in c and "784-" not in c for c in peers)
    own = [c for c in calls if c.startswith("elbo_bench step")]
    assert all("16-8-z2" in c or "conv-8x8x3" in c for c in own)
    output = machine.check("--write-results", machine.out, expected=2)
    assert "is a rehearsal, no measurement" in output
    assert machine.results.read_text() == before


def test_a_call_is_expected_to_end_within_its_time():
    for call, stages in protocol.CALLS.items():
        seconds = sum(protocol.expected_s(stage, BY_NAME[stage.part]) for stage in stages)
        if call == 3:  # its last rows run only if time is left
            seconds -= protocol.expected_s(stages[-1], BY_NAME["steps"])
        assert seconds <= 9 * 60, f"call {call}"
    assert [stages[0].part for stages in protocol.CALLS.values()] == ["steps", "sanitizer", "large"]
    everything = {stage.part for stages in protocol.CALLS.values() for stage in stages}
    assert everything == BY_NAME.keys()


def test_the_protocol_has_every_prediction():
    text = (ROOT / "bench" / "GPU_PROTOCOL.md").read_text()
    assert predictions.table() in text


def test_predictions_are_read(machine):
    for prediction in predictions.PREDICTIONS:
        rows = BY_NAME[prediction.part].rows(Scope())
        assert not prediction.row or prediction.row in [row.name for row in rows], prediction.what
        assert prediction.low <= prediction.high
    machine.be(calibration=json.dumps({"parts": {
        "graph": {"rows": [{"name": "chain/counting", "us_per_added_node": 1.5}]},
    }}))  # fmt: skip
    output = machine.check()
    lines = dict(re.findall(r"^(.*?)  +\S+(?: to \S+)? (?:µs|ms|%|×)  +(.*)$", output, re.M))
    assert lines["step, 784-400-z20, B = 128, tf32"] == "50 µs: as predicted"
    assert lines["edge of a chain of kernels"] == "1.5 µs: 1.25 times the prediction"
    assert lines["latent_forward/2097152x32, of the copy rate"].startswith("91 %: 1.52 times")
    assert lines["squared_norm/67108864, of the copy rate"] == "not measured"
    assert lines["kl_weights/2097152x32"] == "0.3 ms: 0.02 times the prediction"


def test_a_side_with_another_loss_does_not_count(machine):
    machine.be(**{"loss of eager": 1.5})  # elbo's is 100.15 +- 0.05: 1 % is 1.0
    output = machine.check("--parts", "steps", expected=1)
    assert "eager: final loss 101.65 +- 0.05, elbo's is 100.15 +- 0.05" in output
    results = machine.goal_results()
    assert results[goals.STEP, "PyTorch eager, data on the GPU, its fastest Adam"] == NOT_MEASURED
    machine.be(**{"loss of eager": 0.9})
    machine.check("--parts", "steps")


@pytest.mark.parametrize(
    "mood, problem",
    [
        ({"device": "CPU, 2 threads"}, "elbo ran on CPU, 2 threads, not on the GPU"),
        ({"precision": "fp32"}, "elbo: precision was fp32, tf32 was asked for"),
    ],
)
def test_a_program_that_did_something_else_is_not_believed(machine, mood, problem):
    machine.be(**mood)
    machine.check("--parts", "steps", expected=1)
    row = machine.part("steps")["results"][STEP_ROW]
    assert row["problems"] == [problem] and row["values"] == {}
    assert machine.part("steps")["results"].keys() == {setting.name for setting in SMALL}


def test_resume_leaves_out_what_has_passed(machine):
    machine.be(crash=["kernels_gpu_test"])
    machine.check("--parts", "tests", "calibration", "repeatability", expected=1)
    machine.calls()
    machine.be()
    machine.check("--parts", "tests", "calibration", "repeatability", "--resume")
    programs = {call.split()[0] for call in machine.calls()}
    assert "kernels_gpu_test" in programs
    assert not {"elbo", "elbo_calibrate"} & programs
    assert all(machine.part(name)["status"] == "passed" for name in ("tests", "calibration"))
    # Results of different drivers are not mixed.
    machine.be(driver="590.2")
    machine.check("--parts", "calibration", "--resume")
    assert any(call.startswith("elbo_calibrate") for call in machine.calls())


def test_without_time_nothing_starts_and_resume_goes_on(machine):
    output = machine.check("--minutes", 0, expected=3)
    assert "go on with --resume" in output
    assert "not finished: no time was left; not run to the end: own kernels, kernels" in output
    assert machine.part("steps")["not_run"][0] == STEP_ROW
    assert not [c for c in machine.calls() if "kernels_gpu_test" in c]
    assert report.NO_RUN in machine.results.read_text()
    machine.check("--resume")
    assert machine.part("steps")["status"] == "passed"


def test_rows_that_fit_the_time_run(machine):
    machine.check("--parts", "steps", "repeatability", "--minutes", 0.9, expected=3)
    assert machine.part("repeatability")["status"] == "passed"  # expected to take 40 s
    assert machine.part("steps")["status"] == "not finished: no time was left"


def test_history_is_kept_and_unmeasured_goals_stay(machine):
    machine.check("--parts", "steps")
    first = machine.results.read_text()
    history = report.cut(first, report.HISTORY)[1]
    entry = next(line for line in history.splitlines() if line.startswith("- "))
    assert "NVIDIA H200, driver 580.1, CUDA 13.0, python 3.12, torch 2.0, jax 0.4" in entry
    assert "--parts steps`" in entry
    assert f"  - {goals.STEP} against PyTorch's VAE example, unchanged: 120.00 ×" in history

    machine.check("--write-results", machine.out)
    assert machine.results.read_text() == first  # a run is not added twice

    machine.be(driver="590.2", times={"example": 4.0})
    machine.out = machine.folder / "other"
    machine.check("--parts", "steps")
    history = report.cut(machine.results.read_text(), report.HISTORY)[1]
    assert history.index("driver 580.1") < history.index("driver 590.2")
    assert "example, unchanged: 120.00 ×" in history and "unchanged: 80.00 ×" in history
    results = machine.goal_results()
    assert "80.00 ×" in results[goals.STEP, "PyTorch's VAE example, unchanged"]

    machine.out = machine.folder / "third"
    machine.check("--parts", "tests")  # contains no results of steps
    assert "80.00 ×" in machine.goal_results()[goals.STEP, "PyTorch's VAE example, unchanged"]


def test_repeatability_fails_where_bits_differ(machine):
    machine.be(random=True)
    machine.check("--parts", "repeatability", expected=1)
    result = machine.goal_results()["weights after 1000 steps, twice", "each other"]
    assert result.startswith("other bits: not reached")


def test_on_a_cpu_nothing_is_written_into_the_results(machine):
    before = machine.results.read_text()
    machine.be(device="CPU, 2 threads")
    output = machine.check("--device", "cpu")
    assert "measures no goal" in output
    assert machine.results.read_text() == before
    assert machine.part("steps")["device"] == "cpu"
    assert machine.part("tests")["status"] == "not run: it needs a GPU"
    output = machine.check("--write-results", machine.out, expected=2)
    assert "was measured with --device cpu" in output
    assert machine.results.read_text() == before
    machine.check(expected=2)  # a folder cannot contain results of both devices


def test_without_a_gpu_it_says_so(machine):
    (machine.folder / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    output = machine.check(expected=2)
    assert output == (
        "gpu-check: nvidia-smi finds no GPU here; --device cpu tries the parts that need none\n"
    )


def test_list_names_parts_and_rows(machine):
    output = machine.check("--list")
    assert "racecheck" in output and STEP_ROW in output
    assert not machine.calls()


def test_without_results_every_goal_is_not_yet_measured():
    empty = f"<!-- {report.TABLE} -->\n<!-- /{report.TABLE} -->\n"
    empty += f"<!-- {report.HISTORY} -->\n<!-- /{report.HISTORY} -->\n"
    text = report.render(empty, {})
    table = report.known_results(report.cut(text, report.TABLE)[1])
    rows = {key: result for key, result in table.items() if key[0] not in ("what", "---")}
    assert list(rows) == [(g.metric, g.peer, g.target) for g in goals.GOALS]
    assert set(rows.values()) == {NOT_MEASURED}
    assert report.NO_RUN in text


def test_results_in_the_repository_are_the_list_of_goals():
    text = (ROOT / "bench" / "RESULTS.md").read_text()
    assert report.render(text, {}) == text


def test_a_results_file_without_markers_is_refused(machine):
    machine.check("--parts", "calibration")
    machine.results.write_text("# Results\n")
    output = machine.check("--write-results", machine.out, expected=2)
    assert "<!-- gpu-goals -->" in output


def test_test_logs_and_benchmarks_are_read():
    log = (
        "[       OK ] Cuda/CudaKernels.RandomFill/gpu (3 ms)\n"
        "[  FAILED  ] Cuda/CudaDense.Forward/gpu, where GetParam() = ? (2 ms)\n"
        "[  SKIPPED ] Golden.Case (0 ms)\n"
        "[  PASSED  ] 1 test.\n[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] Golden.Case\n"
        "[  FAILED  ] 1 test, listed below:\n[  FAILED  ] Cuda/CudaDense.Forward/gpu\n"
    )
    assert read_test_log(log) == {
        "passed": ["Cuda/CudaKernels.RandomFill/gpu"],
        "failed": ["Cuda/CudaDense.Forward/gpu"],
        "skipped": ["Golden.Case"],
    }
    entries = [
        {"run_name": "a/8x8/real_time", "error_occurred": True, "error_message": "differs"},
        {"run_name": "b/8x8/real_time", "aggregate_name": "median", "real_time": 2.0, "GB/s": 5.0},
        {"run_name": "b/8x8/real_time", "aggregate_name": "cv", "real_time": 0.1},
    ]
    rows, problems = read_benchmark(json.dumps({"benchmarks": entries}))
    assert rows == {"b/8x8": {"us": 2.0, "GB/s": 5.0}} and problems == ("a/8x8: differs",)
    assert goals.is_large("optimizer_update/adam/67108864")
    assert not goals.is_large("latent_forward/20x50/samples=50")


# The following tests run the peers themselves, if PyTorch and JAX are installed.


def without_noise(torch, spec, importance_samples=0):
    """Returns a peer's VAE with a negligible posterior variance, so that noise hardly affects its
    loss."""
    import models

    torch.manual_seed(3)
    model = models.VAE(spec, importance_samples)
    with torch.no_grad():
        model.posterior.weight[spec.latent_dim :] = 0.0
        model.posterior.bias[spec.latent_dim :] = -14.0  # within the twin's clamp at -16
    return model


SPECS = [
    ("relu", "bernoulli"),
    ("tanh", "bernoulli"),
    ("relu", "gaussian"),
]


@pytest.mark.parametrize("activation, likelihood", SPECS)
def test_the_peers_loss_is_the_twins(activation, likelihood):
    torch = pytest.importorskip("torch", reason="the peer needs torch")
    import common

    from elbo_tools import twin

    spec = common.ModelSpec(12, (9, 7), 3, activation, likelihood)
    model = without_noise(torch, spec)
    config = twin.VAEConfig((12,), 3, (9, 7), activation, likelihood)
    other = twin.VAE(config)
    other.load_checkpoint_state(model.state_dict())
    x = torch.rand(5, 12)
    expected = other(x, torch.zeros(5, 3)).loss.item()
    # The noise changes three latents by about exp(-7) = 9e-4, and the slope of nll is of order 1.
    assert model(x).item() == pytest.approx(expected, abs=0.02)


def test_the_convolutional_peer_s_loss_is_the_twin_s(monkeypatch):
    torch = pytest.importorskip("torch", reason="the peer needs torch")
    import common
    import models

    from elbo_tools import twin

    spec = common.ModelSpec(192, (), 3, "relu", "gaussian", size=8, channels=(4, 5))
    torch.manual_seed(3)
    config = twin.VAEConfig((8, 8, 3), 3, network="conv", channels=(4, 5))
    other = twin.VAE(config)
    with torch.no_grad():  # makes biases differ from 0, and keeps log-variances small
        for parameter in other.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model = models.make_vae(spec)
    model.load_state_dict(model.from_checkpoint(other.checkpoint_state()))
    model.to(memory_format=torch.channels_last)
    rows = torch.rand(5, 192)
    pictures = rows.view(5, 8, 8, 3).permute(0, 3, 1, 2)
    expected = other(rows, torch.zeros(5, 3)).loss.item()
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    # Sums of about 200 floats, whose rounding error grows with the square root of their number.
    assert model(pictures).item() == pytest.approx(expected, rel=200**0.5 * 2**-23 * 4)
    assert models.scaled(np.full((2, 192), 128, np.uint8), spec).shape == (2, 3, 8, 8)


@pytest.mark.parametrize("activation, likelihood", SPECS)
@pytest.mark.parametrize("importance_samples", [0, 4])
def test_jax_computes_pytorchs_loss(activation, likelihood, importance_samples):
    torch = pytest.importorskip("torch", reason="the peer needs torch")
    jax = pytest.importorskip("jax", reason="the peer needs jax")
    import common
    import jax_gpu

    spec = common.ModelSpec(12, (9, 7), 3, activation, likelihood)
    model = without_noise(torch, spec, importance_samples)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    parameters = {
        name: {"w": state[f"{name}.weight"].T, "b": state[f"{name}.bias"]}
        for name in jax_gpu.layers_of(spec)
    }
    loss = jax.jit(jax_gpu.make_loss(spec, "fp32", importance_samples))
    x = torch.rand(4000, 12)
    with torch.no_grad():
        expected = model(x).item()
    value = float(loss(parameters, x.numpy(), jax.random.key(0)))
    # Without importance weights, only z's noise of 9e-4 remains, averaged over 4000 rows. With
    # them, log q contains epsilon^2 / 2 of 3 latents: its standard deviation is sqrt(1.5), or 0.02
    # in the mean over 4000 rows, in both losses.
    assert value == pytest.approx(expected, abs=0.12 if importance_samples else 0.001)


def test_importance_weights_of_one_sample_give_the_elbo():
    torch = pytest.importorskip("torch", reason="the peer needs torch")
    import common
    import models

    spec = common.ModelSpec(12, (9,), 3, "tanh", "bernoulli")
    torch.manual_seed(5)
    elbo, weighted, many = (models.VAE(spec, samples) for samples in (0, 1, 50))
    weighted.load_state_dict(elbo.state_dict())
    many.load_state_dict(elbo.state_dict())
    x = torch.rand(20000, 12)
    with torch.no_grad():
        loss = elbo(x).item()
        # The noise is epsilon^2 / 2 minus its mean: sqrt(1.5), or 0.009 in the mean of 20000 rows.
        assert weighted(x).item() == pytest.approx(loss, abs=0.05)
        assert many(x).item() < loss - 0.05  # a tighter bound


def test_kernels_peers_gradients_are_autograds():
    torch = pytest.importorskip("torch", reason="the peer needs torch")
    import pytorch_kernels as kernels

    torch.manual_seed(7)

    def normal(*shape):
        return torch.randn(shape, dtype=torch.double, requires_grad=True)

    x = torch.rand(6, 5, dtype=torch.double)
    for formula, plain, output in (
        (kernels.gaussian, kernels.gaussian_nll, normal(6, 10)),
        (kernels.bernoulli, kernels.bernoulli_nll, normal(6, 5)),
    ):
        nll, gradient = formula(x, output)
        (expected,) = torch.autograd.grad(nll.mean(), output)
        torch.testing.assert_close(gradient, expected)
        torch.testing.assert_close(plain(x, output), nll)
        mean = torch.full((6,), 1 / 6, dtype=torch.double)
        torch.testing.assert_close(kernels.with_gradient(plain, mean)(x, output), expected)

    head, epsilon, grad_z = normal(6, 8), torch.randn(6, 4).double(), torch.randn(6, 4).double()
    mu, logvar = head.chunk(2, dim=1)
    _, kl = kernels.latent_forward(head)
    z = mu + torch.exp(0.5 * logvar) * epsilon
    (expected,) = torch.autograd.grad((grad_z * z).sum() + kl.mean(), head)
    torch.testing.assert_close(kernels.latent_backward(head, epsilon, grad_z), expected)


def test_peers_say_that_they_need_a_gpu():
    pytest.importorskip("torch", reason="the peer needs torch")
    script = ROOT / "bench" / "peers" / "pytorch_gpu.py"
    command = [sys.executable, script, "--device", "cpu", "--mode", "graph"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == (
        "pytorch_gpu.py: mode graph needs a GPU; on a CPU there are example, eager, compile\n"
    )


def test_a_served_peer_repeats_a_round(tmp_path):
    pytest.importorskip("torch", reason="the peer needs torch")
    script = ROOT / "bench" / "peers" / "pytorch_gpu.py"
    pixels = np.random.default_rng(1).integers(0, 256, (100, 784), dtype=np.uint8)
    np.save(tmp_path / "train.npy", pixels)
    options = ["--device", "cpu", "--mode", "eager", "--serve", "--batch", "4", "--steps", "80"]
    options += ["--data", tmp_path]
    commands = "prepare\nrun 1\nrun 2\nrun 1\n"
    done = subprocess.run(
        [sys.executable, script, *options], input=commands, capture_output=True, text=True
    )
    prepared, *rounds = map(json.loads, done.stdout.splitlines())
    assert prepared.keys() == {"prepared_s"}
    losses = [answer["final_loss"] for answer in rounds]
    assert losses[0] == losses[2] != losses[1]
    keys = {"side", "device", "model", "batch", "steps", "seed", "step_ms", "final_loss"}
    assert all(keys <= answer.keys() for answer in rounds)
