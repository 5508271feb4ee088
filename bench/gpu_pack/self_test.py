"""Runs the programs of an archive in a minimal Debian 12 without network, to simulate a machine
without other packages, with or without a GPU."""

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from gpu_check.command import Problem
from gpu_pack.libraries import output_of

TIMEOUT_S = 600
SKIPPED = 77  # exit code of kernels_gpu_test without a GPU
NO_GPU = 4  # exit code of elbo_calibrate without a GPU

SHAPES = ("bin/elbo", "generate", "shapes", "data")
SHAPES += ("--size", "8", "--train-count", "64", "--test-count", "16")
TRAIN = ("bin/elbo", "train", "data", "--hidden", "8", "--latent-dim", "2", "--batch-size", "8")
TRAIN += ("--likelihood", "bernoulli", "--steps", "20", "--seed", "1", "--picture-count", "0")
TRAINED = r"(?s)vae, 1156 parameters, on {}.*test: 16 rows.*\n  elbo +-\d+\.\d+ ±.*\nrun: "
GOLDEN = "--gtest_filter=GoldenFolder.*:Cases/Golden.*/adagrad"


@dataclass(frozen=True)
class Case:
    """A command and its expected output and exit code."""

    command: tuple[str, ...]
    stdout: str = ""  # a regular expression that must match somewhere in the output
    stderr: str = ""
    code: int = 0
    environment: dict[str, str] = field(default_factory=dict)


# fmt: off
ANYWHERE = (
    Case(("bin/elbo", "--version"), r"^elbo \d+\.\d+\.\d+\n$"),
    Case(SHAPES, r"train +64 rows"),
    Case((*TRAIN, "--device", "cpu", "--out", "cpu"), TRAINED.format("CPU")),
    Case(("bin/elbo_bench", "--check", "--rows", "/128x784$"), r"^(agrees +\S.*\n)+$"),
    Case(("bin/elbo_calibrate",), "^$", r"^elbo_calibrate: no GPU can be used: .+\n$", NO_GPU),
)
WITHOUT_GPU = (
    Case(("bin/kernels_gpu_test",), r"^skipped, all \d+ tests: .+\n$", code=SKIPPED),
)
QUICK = {"SIMULATED_GPU": "seed=1 clock=0.0005 trials=quick"}
ON_SIMULATED_GPU = (
    Case((*TRAIN, "--device", "cuda", "--out", "cuda"), TRAINED.format("(?!CPU)"),
        environment=QUICK),
    Case(("bin/kernels_gpu_test", GOLDEN), r"\[  PASSED  \] 3 tests\.\n$", environment=QUICK),
)
# fmt: on


def demand_chroot(chroot: Path) -> None:
    if os.geteuid():
        raise Problem("--self-test: only root can change the root folder; run it as root")
    if not (chroot / "bin" / "sh").exists():
        print(f"making a minimal Debian 12 in {chroot}", flush=True)
        output_of("debootstrap", "--variant=minbase", "bookworm", chroot)


def run(case: Case, chroot: Path, folder: str) -> list[str]:
    """Runs a command and prints it with its output. Returns one line per unexpected result."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": folder, **case.environment}
    names = " ".join(f"{name}='{value}'" for name, value in case.environment.items())
    print(f"$ {names + ' ' if names else ''}{' '.join(case.command)}", flush=True)
    isolated = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        done = subprocess.run(
            [*isolated, f"--root={chroot}", f"--wd={folder}", *case.command],
            capture_output=True,
            text=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return [f"had not ended after {TIMEOUT_S} s"]
    for line in (done.stdout + done.stderr).splitlines()[-12:]:
        print(f"  {line}")
    print(f"  exit code {done.returncode}", flush=True)
    wrong = []
    if done.returncode != case.code:
        wrong.append(f"exit code {done.returncode}, expected {case.code}")
    for stream, want in (("stdout", case.stdout), ("stderr", case.stderr)):
        if not re.search(want, getattr(done, stream)):
            wrong.append(f"{stream} does not match {want}")
    return wrong


def failures(archive: Path, chroot: Path) -> int:
    """Returns the number of commands with an unexpected result."""
    chroot = chroot.resolve()
    demand_chroot(chroot)
    count = 0
    with tempfile.TemporaryDirectory(dir=chroot, prefix="archive-") as unpacked:
        output_of("tar", "--extract", "--file", archive, "--directory", unpacked)
        (root,) = Path(unpacked).iterdir()
        simulated = json.loads((root / "manifest.json").read_text())["simulated"]
        cases = [*ANYWHERE, *(ON_SIMULATED_GPU if simulated else WITHOUT_GPU)]
        if (chroot / "usr" / "bin" / "python3").exists():
            cases.append(Case(("/usr/bin/python3", "scripts/gpu-check", "--list"), "^tests .*"))
        else:
            print("scripts/gpu-check --list: not run, a minimal Debian has no python3")
        for case in cases:
            wrong = run(case, chroot, f"/{root.relative_to(chroot)}")
            count += bool(wrong)
            for line in wrong:
                print(f"  WRONG: {line}")
    print(f"{len(cases)} commands in a minimal Debian 12, {count} wrong")
    return count
