"""Tests bench/papers: published schedules, interrupted and resumed runs, and the result line."""

import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

PAPERS = pathlib.Path(__file__).resolve().parents[2] / "bench" / "papers"
sys.path.insert(0, str(PAPERS))
import aevb_frey  # noqa: E402
import iwae_table1  # noqa: E402
import pythae_vae  # noqa: E402
from reproduction import Schedule  # noqa: E402

# A reproduction script without a paper. It runs for a few seconds; --epochs sets the length.
SMALL = f"""
import sys
sys.path.insert(0, {str(PAPERS)!r})
import reproduction
from reproduction import Evaluation, Reproduction

parser = reproduction.argument_parser("nothing", "data")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--hidden", default="16")
arguments = parser.parse_args()
reproduction.main(Reproduction(
    name="nothing", source="nobody", published=12.5,
    settings={{"likelihood": "bernoulli", "hidden": arguments.hidden, "latent-dim": 2,
               "batch-size": 20, "epochs": arguments.epochs, "report-epochs": 1,
               "picture-count": 0}},
    evaluations=[Evaluation("nll", "test", {{"importance-samples": 5}}),
                 Evaluation("elbo", "train")]), arguments)
"""


@pytest.fixture(scope="module")
def program():
    path = os.environ.get("ELBO_PROGRAM")
    if path is None:
        pytest.skip("ELBO_PROGRAM names no elbo program")
    return path


@pytest.fixture
def mnist(tmp_path):
    """Random 4 x 4 images in MNIST's file format."""
    random = np.random.default_rng(1)
    place = tmp_path / "mnist"
    place.mkdir()
    for prefix, count in (("train", 200), ("t10k", 30)):
        rows = random.integers(256, size=(count, 4, 4), dtype=np.uint8)
        header = bytes([0, 0, 8, 3]) + np.array(rows.shape, ">i4").tobytes()
        (place / f"{prefix}-images-idx3-ubyte").write_bytes(header + rows.tobytes())
    return place


class Bench:
    def __init__(self, program, data, place):
        self.place = place
        self.results = place / "results.jsonl"
        self.script = place / "nothing.py"
        self.script.write_text(SMALL)
        self.common = ["--program", program, "--data", data, "--device", "cpu", "--threads", "1",
                       "--results", self.results]

    def command(self, out, *more, script=None):
        words = [sys.executable, script or self.script, *self.common, "--out", self.place / out]
        return [str(word) for word in [*words, *more]]

    def run(self, out, *more, script=None):
        return subprocess.run(self.command(out, *more, script=script), capture_output=True,
                              text=True)

    def done(self, out, *more, script=None):
        result = self.run(out, *more, script=script)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def lines(self):
        return [json.loads(line) for line in self.results.read_text().splitlines()]


@pytest.fixture
def bench(program, mnist, tmp_path):
    return Bench(program, mnist, tmp_path)


def rates(settings):
    """Returns the learning rate and the number of epochs of every stage."""
    edges = [0.0, *map(float, settings["learning-rate-milestones"].split(",")),
             settings["epochs"]]
    gamma = float(settings["learning-rate-gamma"])
    return [(float(settings["learning-rate"]) * gamma**i, b - a)
            for i, (a, b) in enumerate(zip(edges, edges[1:]))]


def test_iwae_schedule_is_the_papers():
    # Section 5: 3^i passes at 0.001 * 10^(-i/7), for i = 0 to 7.
    stages = rates(iwae_table1.settings("iwae", 5, 1.0))
    assert len(stages) == 8
    for i, (rate, epochs) in enumerate(stages):
        assert rate == pytest.approx(1e-3 * 10 ** (-i / 7), rel=1e-8)
        assert epochs == pytest.approx(3**i, rel=1e-8)


@pytest.mark.parametrize("scale, epochs", [(0.1, 328), (0.01, 33), (1e-4, 1)])
def test_shorter_schedules_keep_the_shares_of_their_stages(scale, epochs):
    settings = iwae_table1.settings("vae", 1, scale)
    assert settings["epochs"] == epochs
    for whole, part in zip(rates(iwae_table1.settings("vae", 1, 1.0)), rates(settings)):
        assert part[0] == pytest.approx(whole[0])
        assert part[1] / epochs == pytest.approx(whole[1] / 3280, rel=1e-6)


def test_other_schedules():
    assert rates(pythae_vae.settings(1.0)) == [
        pytest.approx((1e-4 * 10 ** (-i / 5), epochs)) for i, epochs in enumerate((200, 150, 150))]
    assert Schedule(10, [5], 0.1).scaled(0.04).epochs == 1
    # Ten million samples in total, and the weight of the prior for the number of training faces.
    settings = aevb_frey.settings(5, 1.0)
    assert settings["epochs"] * aevb_frey.ROWS == pytest.approx(aevb_frey.SAMPLES, rel=1e-3)
    assert float(settings["weight-decay"]) * aevb_frey.ROWS == pytest.approx(1.0)


def test_a_number_is_only_held_against_one_of_the_same_kind():
    assert iwae_table1.experiment("iwae", 50, 1.0).published == 84.78
    assert iwae_table1.experiment("vae", 5, 0.1).published == 86.47
    assert iwae_table1.experiment("vae", 7, 1.0).published is None
    assert iwae_table1.experiment("vae", 5, 1.0, importance_samples=100).published is None


def test_runs_to_its_line_of_results_once(bench):
    told = bench.done("a", "--scale", "0.5")
    line, = bench.lines()
    assert (line["name"], line["published"], line["scale"]) == ("nothing", 12.5, 0.5)
    assert line["metric"] == "test nll" and line["rows"] == 30 and line["epochs"] == 3
    assert math.isfinite(line["train_elbo"]) and line["standard_error"] > 0
    assert line["device"].startswith("CPU, 1 thread")
    assert line["settings"]["hidden"] == "16"
    assert line["train_seconds"] >= 0 and "evaluate_seconds" in line
    assert f"test nll {line['number']:.2f} ± " in told and "published 12.50" in told
    assert "all done" in bench.done("a", "--scale", "0.5")
    assert len(bench.lines()) == 1


def hears_interrupts():
    """Restores the default action of SIGINT, which a shell disables in background jobs."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_goes_on_where_it_stopped(bench):
    long = ("--epochs", "300")
    process = subprocess.Popen(bench.command("a", *long), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=hears_interrupts)
    last = bench.place / "a" / "run" / "checkpoints" / "last.safetensors"
    deadline = time.monotonic() + 60
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C at a terminal signals the whole group
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on with: " in complaint and "Traceback" not in complaint
    assert not bench.results.exists()
    state = json.loads((bench.place / "a" / "reproduction.json").read_text())
    before = state["seconds"]["train"]
    assert before > 0
    assert not (bench.place / "a" / "run" / "summary.json").exists(), "it was done already"

    first_epoch = re.compile(r"^ +1 ", re.MULTILINE)  # in the table of reports
    assert not first_epoch.search(bench.done("a", *long)), "began anew"
    assert first_epoch.search(bench.done("b", *long))
    stopped, whole = bench.lines()
    assert stopped["number"] == whole["number"] and stopped["steps"] == whole["steps"]
    assert stopped["train_seconds"] >= round(before, 1)
    state = json.loads((bench.place / "a" / "reproduction.json").read_text())
    assert state["seconds"]["train"] > before


def test_starts_again_where_there_is_no_checkpoint_yet(bench):
    bench.done("a")
    place = bench.place / "a"
    (place / "run" / "summary.json").unlink()
    for checkpoint in (place / "run" / "checkpoints").iterdir():
        checkpoint.unlink()
    state = json.loads((place / "reproduction.json").read_text())
    (place / "reproduction.json").write_text(
        json.dumps({**state, "evaluations": {}, "recorded": False}))
    bench.done("a")
    one, other = bench.lines()
    assert one["number"] == other["number"]


def test_refuses_what_would_mix_two_runs(bench):
    bench.done("a")
    for more, words in ((["--hidden", "8"], ("hidden 16, not 8",)),
                        (["--seed", "2"], ("seed 1, not 2",))):
        result = bench.run("a", *more)
        assert result.returncode == 1 and result.stderr.count("\n") == 1
        assert all(word in result.stderr for word in words), result.stderr
    (bench.place / "full").mkdir()
    (bench.place / "full" / "letter").write_text("dear")
    result = bench.run("full")
    assert "holds something else" in result.stderr and result.stderr.count("\n") == 1
    for scale in ("0", "1.5", "many"):
        assert bench.run("new", "--scale", scale).returncode == 2
    result = subprocess.run([sys.executable, bench.script, "--program", "no/elbo", "--data", ".",
                             "--out", bench.place / "none"], capture_output=True, text=True)
    assert "no/elbo" in result.stderr and "Traceback" not in result.stderr
    assert len(bench.lines()) == 1


@pytest.mark.parametrize("script, more", [
    ("iwae_table1.py", ["--objective", "iwae", "-k", "2", "--importance-samples", "5"]),
    ("iwae_table1.py", ["--objective", "vae", "-k", "2", "--importance-samples", "5"]),
    ("pythae_vae.py", []),
    ("aevb_frey.py", ["--latents", "2"]),
])
def test_the_program_knows_every_papers_settings(program, mnist, tmp_path, script, more):
    faces = tmp_path / "faces.npy"
    np.save(faces, np.random.default_rng(1).integers(256, size=(50, 7, 5), dtype=np.uint8))
    bench = Bench(program, faces if "frey" in script else mnist, tmp_path)
    bench.done("out", "--scale", "1e-4", *more, script=PAPERS / script)
    line, = bench.lines()
    assert math.isfinite(line["number"]) and line["epochs"] == 1
