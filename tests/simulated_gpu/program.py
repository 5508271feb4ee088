"""Runs the elbo command on the simulated GPU, and reads what it left."""

import ast
import hashlib
import json
import os
import random
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

BATCH = 8
ROWS, TEST_ROWS = 205, 20  # the last batch of an epoch is smaller
OPTIONS = "clock=0.0005 trials=quick"
DEFECTS = 86  # exit code of a program with defects
UNTIMED = ("seconds", "samples_per_second")


class Outcome:
    """A program that has ended: what it said, what was found, what it called."""

    def __init__(self, command, environment, counts, timeout):
        begin = time.time()
        process = subprocess.Popen(
            [str(word) for word in command], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        try:
            self.text = process.communicate(timeout=timeout)[0]
            self.code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            self.text, self.code = process.communicate()[0], None
        self.seconds = time.time() - begin
        self.command = " ".join(str(word) for word in command)
        found = re.findall(r"^simulated GPU: ((?:defect|doubt): .*)$", self.text, re.M)
        self.defects = [line for line in found if line.startswith("defect")]
        self.doubts = [line for line in found if line.startswith("doubt")]
        self.calls, self.instructions = {}, 0
        if counts.exists():
            for line in counts.read_text().splitlines():
                word, *rest = line.split()
                if word == "call":
                    self.calls[rest[0]] = self.calls.get(rest[0], 0) + int(rest[1])
                else:
                    self.instructions += int(rest[0])
            counts.unlink()

    def plan(self):
        return [line[6:] for line in self.text.splitlines() if line.startswith("plan: ")]


def clean(outcome, code=0):
    """What is wrong with a program that should have ended well."""
    if outcome.code != code or outcome.defects or outcome.doubts:
        found = "; ".join(outcome.defects[:3] + outcome.doubts[:3])
        return [f"{outcome.command}: exit code {outcome.code}; {found or outcome.text[-400:]}"]
    return []


class Workplace:
    """Programs, data and runs of one job, in a folder of its own."""

    def __init__(self, elbo, folder, totals, size):
        self.elbo, self.folder, self.totals = Path(elbo), Path(folder), totals
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.data = self.folder / "data"
        self.data.mkdir()
        make_data(self.data, size)

    def run(self, arguments, options="", cache="cache", timeout=600, program=None, **variables):
        """Runs `elbo` with arguments, or another program; `variables` of the environment."""
        counts = self.folder / "counts"
        environment = {
            **os.environ, "XDG_CACHE_HOME": str(self.folder / cache), "OMP_NUM_THREADS": "1",
            "SIMULATED_GPU": f"{OPTIONS} exit={DEFECTS} counts={counts} {options}", **variables,
        }  # fmt: skip
        command = [program or self.elbo, *arguments]
        outcome = Outcome(command, environment, counts, timeout)
        self.totals.add(outcome)
        return outcome

    def path(self, name):
        return self.folder / name

    def train(self, name, device, settings, options="", metrics_interval=1000, **more):
        """Trains into the folder `name`, anew."""
        shutil.rmtree(self.path(name), ignore_errors=True)
        return self.run(
            ["train", self.data, "--out", self.path(name), "--device", device, "--threads", "1",
             "--batch-size", BATCH, "--report-epochs", "10", "--picture-count", "0",
             "--metrics-interval", metrics_interval, "--validation-fraction", "0", "--verbose",
             *settings],
            options, **more)  # fmt: skip

    def weights(self, name):
        """A hash of the last checkpoint's arrays."""
        return hashlib.sha256(b"".join(
            array for _, array in sorted(tensors(self.checkpoint(name)).items())
        )).hexdigest()[:12]  # fmt: skip

    def checkpoint(self, name):
        return self.path(name) / "checkpoints" / "last.safetensors"

    def last_line(self, name):
        """The last line of a run's metrics."""
        return json.loads((self.path(name) / "metrics.jsonl").read_text().splitlines()[-1])

    def metrics(self, name):
        return numbers(self.last_line(name))


class Totals:
    """Figures of all programs, and calls that were failed."""

    def __init__(self):
        self.programs = self.instructions = self.failed_calls = self.calls = 0
        self.seconds = 0.0
        self.functions, self.seeds = set(), set()
        self.differences = {}  # the largest, by quantity

    def note_difference(self, quantity, relative):
        self.differences[quantity] = max(relative, self.differences.get(quantity, 0.0))

    def add(self, outcome):
        self.programs += 1
        self.instructions += outcome.instructions
        if outcome.instructions > 0:
            self.seconds += outcome.seconds
        self.calls += sum(outcome.calls.values())
        self.functions |= outcome.calls.keys()

    def text(self, wall):
        differences = ", ".join(f"{p} {d:.0e}" for p, d in sorted(self.differences.items()))
        speed = self.instructions / max(self.seconds, 1e-9) / 1e6
        return (
            f"{self.programs} programs, {len(self.seeds)} seeds of the scheduler, "
            f"{self.calls} runtime and library calls of {len(self.functions)} functions, "
            f"{self.failed_calls} calls failed; {self.instructions / 1e9:.2f} G PTX instructions, "
            f"{speed:.1f} M a second of the programs' time; {wall:.0f} s; "
            f"largest relative differences from the CPU: {differences or 'none looked at'}"
        )


def make_data(folder, size):
    """Grey pictures of size x size at random, in three classes, as MNIST's files."""
    rng = random.Random(1)
    for split, rows in (("train", ROWS), ("t10k", TEST_ROWS)):
        pixels = bytes(int(256 * rng.betavariate(0.6, 0.6)) & 255 for _ in range(rows * size**2))
        labels = bytes(rng.randrange(3) for _ in range(rows))
        header = struct.pack(">IIII", 0x803, rows, size, size)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(header + pixels)
        header = struct.pack(">II", 0x801, rows)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(header + labels)


def numbers(values):
    return {k: v for k, v in values.items() if isinstance(v, float) and k not in UNTIMED}


def tensors(path):
    """The arrays of a safetensors file, as bytes by their names."""
    content = path.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    return {
        name: content[8 + size + entry["data_offsets"][0] : 8 + size + entry["data_offsets"][1]]
        for name, entry in header.items()
        if name != "__metadata__"
    }


def npy_floats(path):
    content = path.read_bytes()
    (size,) = struct.unpack_from("<H", content, 8)
    header = ast.literal_eval(content[10 : 10 + size].decode())
    count = 1
    for extent in header["shape"]:
        count *= extent
    return struct.unpack_from(f"<{count}f", content, 10 + size)


def difference(left, right):
    """The largest relative difference of two dictionaries of numbers, and its name."""
    if left.keys() != right.keys():
        return float("inf"), f"names {sorted(left.keys() ^ right.keys())}"
    worst = (0.0, "")
    for name, a in left.items():
        worst = max(worst, (abs(a - right[name]) / max(abs(a), abs(right[name]), 1e-2), name))
    return worst
