"""scripts/gpu-check on programs that only pretend: what it runs, records, leaves out and writes."""

import json
import os
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
from gpu_check import report  # noqa: E402
from gpu_check.command import Deadline, OutOfTime, Problem, Server  # noqa: E402
from gpu_check.parts import SANITIZERS, read_benchmark, read_test_log  # noqa: E402
from gpu_check.steps import SMALL  # noqa: E402

NOT_MEASURED = "not yet measured on a GPU"
STEP_ROW = SMALL[0].name

# All programs in one: told apart by the name they are called by. `mood` is what the test wants.
FAKE = r"""
import json, os, sys, time

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
        "iwae": int(value("--iwae", 0)),
    }), flush=True)


if name in mood.get("slow", []):
    time.sleep(60)
if name in mood.get("crash", []):
    sys.exit(f"{name} fell over")
if name == "nvidia-smi":
    query = "NVIDIA H200, " + mood.get("driver", "580.1")
    print(query if any("query" in a for a in arguments) else "| CUDA Version: 13.0  |")
elif name == "python":
    frameworks = {"torch": "2.0", "jax": "0.4"} | mood.get("versions", {})
    print(json.dumps({"python": "3.12"} | frameworks))
elif name == "compute-sanitizer":
    program = next(i for i, a in enumerate(arguments) if a.endswith("kernels_gpu_test"))
    os.execv(arguments[program], arguments[program:])
elif name == "kernels_gpu_test":
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
    weights = value("--write-initial-weights")
    if weights:
        write(weights, "weights")
    else:
        answer("elbo", 0.050, int(value("--seed")))
elif name == "elbo_bench":
    out = next(a for a in arguments if a.startswith("--benchmark_out=")).partition("=")[2]
    row = {"run_name": "likelihood_terms/bernoulli/85599x784/real_time", "real_time": 300.0}
    row |= {"aggregate_name": "median", "%copy": 91.0}
    small = {"run_name": "latent_forward/128x20/real_time", "real_time": 3.0}
    small |= {"aggregate_name": "median", "%copy": 5.0}
    write(out, json.dumps({"benchmarks": [row, small]}))
elif name == "pytorch_kernels.py":
    rows = arguments[arguments.index("--rows") + 1 :]
    print(json.dumps({"rows": {row: {"eager_us": 1800.0, "inductor_us": 270.0} for row in rows}}))
elif name in ("pytorch_gpu.py", "jax_gpu.py"):
    mode = value("--mode")
    times = {"example": 6.0, "eager": 0.45, "graph": 0.15, "scan": 0.08} | mood.get("times", {})
    for line in sys.stdin:
        command, *seed = line.split()
        if mode in mood.get("crash", []) and command == "run":
            sys.exit(f"{mode} fell over")
        if command == "prepare":
            print(json.dumps({"prepared_s": 1.0}), flush=True)
        else:
            answer(mode, times.get(mode, 0.2), int(seed[0]))
"""


class Machine:
    """A GPU machine: its programs, a copy of RESULTS.md, and the command run on it."""

    PROGRAMS = (
        "bin/nvidia-smi",
        "bin/compute-sanitizer",
        "bin/python",
        "build/elbo",
        "build/tests/kernels_gpu_test",
        "build/bench/elbo_bench",
        "build/bench/elbo_calibrate",
    )

    def __init__(self, folder: Path):
        self.folder = folder
        for program in self.PROGRAMS:
            path = folder / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!{sys.executable} -IS\n{FAKE}")  # which starts sooner
            path.chmod(0o755)
        self.out = folder / "out"
        self.results = folder / "RESULTS.md"
        self.results.write_text((ROOT / "bench" / "RESULTS.md").read_text())
        self.be()

    def be(self, **mood) -> None:
        (self.folder / "mood.json").write_text(json.dumps(mood))

    def check(self, *arguments, expected: int = 0, **environment) -> str:
        """Output of gpu-check, which has to end with the exit code."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        variables = {k: v for k, v in os.environ.items() if k != "ELBO_DATA"}
        variables |= {"PATH": path, "FAKE_FOLDER": str(self.folder), **environment}
        folders = ("--build", self.folder / "build", "--out", self.out, "--results", self.results)
        command = [sys.executable, ROOT / "scripts" / "gpu-check", *folders]
        command += ["--python", self.folder / "bin" / "python", "--rounds", 2, *arguments]
        done = subprocess.run(
            [str(part) for part in command], env=variables, capture_output=True, text=True
        )
        output = done.stdout + done.stderr
        assert done.returncode == expected, output
        assert "Traceback" not in output
        return output

    def part(self, name: str) -> dict:
        return json.loads((self.out / f"{name}.json").read_text())

    def calls(self) -> list[str]:
        """The programs called since the last time this was asked."""
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
    assert machine.part("calibration")["results"]["elbo_calibrate"]["values"] == {"edge_us": 1.0}
    assert machine.part("sanitizer")["results"].keys() == SANITIZERS.keys()
    assert "120.00 ×, 50 µs against 6 ms: reached" in output

    results = machine.goal_results()
    step = goals.STEP
    assert results[step, "PyTorch's VAE example, unchanged"].startswith("120.00 ×")
    eager = results[step, "PyTorch eager, data on the GPU, its fastest Adam"]
    assert eager.startswith("9.00 ×, 50 µs against 450 µs: not reached (NVIDIA H200, 20")
    assert results["time of that step on an H200", ""].startswith("50 µs: reached")
    # 1800 and 270 µs against 300; only the row of 64 M elements counts.
    assert results["fused kernels, 64 M elements", "PyTorch eager"].startswith("6.00 ×")
    assert "not reached" in results["fused kernels, 64 M elements", "Inductor"]
    assert results["fused kernels, 64 M elements", "the device's measured copy rate"].startswith(
        "91 % (likelihood_terms/bernoulli/85599x784"
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
    assert [c.split()[0] for c in first].count("elbo_bench") == 1 + 2  # weights, two rounds
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
    assert problem in machine.results.read_text()  # in the history


def test_a_program_that_is_not_built_is_named(machine):
    (machine.folder / "build" / "bench" / "elbo_calibrate").unlink()
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
        server.ask("prepare", Deadline(0.2, time.monotonic() + 60).half())
    with pytest.raises(OutOfTime):  # the row had time yet, the whole run had not
        server.ask("prepare", Deadline(60, time.monotonic() + 0.1))
    server.close()
    assert server.process.returncode == -signal.SIGKILL


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
    # What was found with another driver is not mixed with this one's.
    machine.be(driver="590.2")
    machine.check("--parts", "calibration", "--resume")
    assert any(call.startswith("elbo_calibrate") for call in machine.calls())


def test_without_time_nothing_starts_and_resume_goes_on(machine):
    output = machine.check("--minutes", 0, expected=3)
    assert "go on with --resume" in output
    assert "not run: no time was left; not run: kernels_gpu_test" in output
    assert machine.part("steps")["not_run"][0] == STEP_ROW
    assert not [c for c in machine.calls() if "kernels_gpu_test" in c]
    assert report.NO_RUN in machine.results.read_text()
    machine.check("--resume")
    assert machine.part("steps")["status"] == "passed"


def test_rows_that_fit_the_time_run(machine):
    machine.check("--parts", "tests", "steps", "--minutes", 0.9, expected=3)  # tests: 30 s
    assert machine.part("tests")["status"] == "passed"
    assert machine.part("steps")["status"] == "not run: no time was left"


def test_history_is_kept_and_unmeasured_goals_stay(machine):
    machine.check("--parts", "steps")
    first = machine.results.read_text()
    history = report.cut(first, report.HISTORY)[1]
    entry = next(line for line in history.splitlines() if line.startswith("- "))
    assert "NVIDIA H200, driver 580.1, CUDA 13.0, python 3.12, torch 2.0, jax 0.4" in entry
    assert "--parts steps`" in entry
    assert f"  - {goals.STEP} against PyTorch's VAE example, unchanged: 120.00 ×" in history

    machine.check("--write-results", machine.out)
    assert machine.results.read_text() == first  # the same run is there once

    machine.be(driver="590.2", times={"example": 4.0})
    machine.out = machine.folder / "other"
    machine.check("--parts", "steps")
    history = report.cut(machine.results.read_text(), report.HISTORY)[1]
    assert history.index("driver 580.1") < history.index("driver 590.2")
    assert "example, unchanged: 120.00 ×" in history and "unchanged: 80.00 ×" in history
    results = machine.goal_results()
    assert "80.00 ×" in results[goals.STEP, "PyTorch's VAE example, unchanged"]

    machine.out = machine.folder / "third"
    machine.check("--parts", "tests")  # says nothing of steps
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
    machine.check(expected=2)  # nor are both kinds mixed in a folder


def test_without_a_gpu_it_says_so(machine):
    (machine.folder / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    output = machine.check(expected=2)
    assert output == (
        "gpu-check: nvidia-smi finds no GPU here; --device cpu tries what needs none\n"
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


# The peers themselves, where PyTorch and JAX are installed.


def without_noise(torch, spec, importance_samples=0):
    """A peer's VAE whose posterior has no spread worth noticing, so that its loss is one number."""
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
    # z is off by some exp(-7) = 9e-4 in three latents, and nll's slope there is of order 1.
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
    with torch.no_grad():  # biases that show, and small log-variances
        for parameter in other.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model = models.make_vae(spec)
    model.load_state_dict(model.from_checkpoint(other.checkpoint_state()))
    model.to(memory_format=torch.channels_last)
    rows = torch.rand(5, 192)
    pictures = rows.view(5, 8, 8, 3).permute(0, 3, 1, 2)
    expected = other(rows, torch.zeros(5, 3)).loss.item()
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    # Sums of some 200 numbers in float, whose roundings grow with the root of their number.
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
    # Without importance weights z's noise of 9e-4 is left, over 4000 rows. With them log q holds
    # epsilon^2 / 2 of 3 latents: deviation sqrt(1.5), over 4000 rows 0.02, on both sides.
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
        # epsilon^2 / 2 against its mean: deviation sqrt(1.5) over 20000 rows is 0.009.
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
