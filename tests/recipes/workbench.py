"""What a proof works with: the program, data, a place for runs, and numbers about them."""

import dataclasses
import json
import math
import pathlib
import subprocess
import time

import numpy as np


@dataclasses.dataclass
class Check:
    """A measured number and the bound it has to keep."""

    what: str
    measured: float
    relation: str  # "<=", ">=" or "" for a number that is only reported
    bound: float = math.nan

    @property
    def passed(self):
        if self.relation == "<=":
            return self.measured <= self.bound
        if self.relation == ">=":
            return self.measured >= self.bound
        return math.isfinite(self.measured)

    def __str__(self):
        bound = f" {self.relation} {self.bound:g}" if self.relation else ""
        return f"{self.what}: {self.measured:.6g}{bound}"


class Workbench:
    """Runs `elbo` on one data set and remembers what it was told to do.

    `quick` asks for the form that CI runs: a small generated data set and short trainings.
    """

    def __init__(self, program, data, place, quick, frey=None):
        self.program = pathlib.Path(program)
        self.data = pathlib.Path(data)
        self.frey = frey
        self.place = pathlib.Path(place)
        self.quick = quick
        self.commands = []

    def pick(self, full, quick):
        return quick if self.quick else full

    def elbo(self, *arguments):
        """Runs the program and returns what it prints; raises with its message if it fails."""
        command = [str(self.program), *map(str, arguments)]
        self.commands.append(" ".join(["elbo", *command[1:]]))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def train(self, name, recipe, data=None, **settings):
        """Trains a recipe into the run `name`; a setting's underscores become dashes."""
        run = self.place / name
        self.elbo("train", data or self.data, "--out", run, "--recipe", recipe,
                  "--picture-count", 0 if self.quick else 64, "--report-epochs", 1_000_000,
                  "--quiet", *flags(settings))
        return run

    def evaluate(self, run, data=None, split="test", **settings):
        return json.loads(self.elbo("evaluate", run, data or self.data, "--split", split,
                                    "--checkpoint", "last", "--json",
                                    *flags(settings)))

    def encode(self, run, data=None, split="test", name="codes"):
        out = self.place / f"{run.name}-{name}-{split}.npy"
        self.elbo("encode", run, data or self.data, "--split", split, "--checkpoint", "last",
                  "--out", out)
        return np.load(out)

    def sample(self, run, count, name="samples"):
        out = self.place / f"{run.name}-{name}.npy"
        self.elbo("sample", run, "--count", count, "--checkpoint", "last", "--out", out)
        return np.load(out)

    def rows(self, split, flat=True):
        """Rows of a split as float64 [n, dim] (or pictures) in [0, 1], and their labels."""
        rows, labels = read_idx_split(self.data, split)
        return (rows.reshape(len(rows), -1) if flat else rows) / 255.0, labels

    def dataset(self, name, **splits):
        """A data set of {split: (rows, labels)}."""
        place = self.place / name
        place.mkdir(parents=True, exist_ok=True)
        for split, (rows, labels) in splits.items():
            np.save(place / f"{split}.npy", np.ascontiguousarray(rows, dtype=np.float32))
            if labels is not None:
                np.save(place / f"{split}_labels.npy", np.asarray(labels, dtype=np.int32))
        return place


def flags(settings):
    """--some-key value for some_key=value."""
    return [word for key, value in settings.items()
            for word in ("--" + key.replace("_", "-"), value)]


def blob_pictures(count, seed, size=16, classes=10):
    """Pictures [count, size, size] of uint8 and their classes: a smooth blob for each class, bent by
    a dozen smooth random fields of falling strength."""
    waves = np.fft.fftfreq(size)
    low_pass = np.exp(-60 * (waves[:, None]**2 + waves[None, :]**2))
    fixed = np.random.default_rng(0)

    def fields(number):
        noise = np.fft.fft2(fixed.standard_normal((number, size, size)))
        smooth = np.fft.ifft2(noise * low_pass).real.reshape(number, -1)
        return smooth / smooth.std(axis=1, keepdims=True)

    blobs, bends = fields(classes), fields(12)
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=count)
    strengths = random.standard_normal((count, 12)) * 0.85**np.arange(12)
    x = 2 * blobs[labels] - 1 + 0.7 * strengths @ bends
    pixels = np.rint(255 / (1 + np.exp(-2 * x))).astype(np.uint8)
    return pixels.reshape(count, size, size), labels.astype(np.uint8)


def write_idx_split(directory, prefix, rows, labels):
    """Images and labels as MNIST's files."""
    directory.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", rows), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        (directory / f"{prefix}-{kind}-ubyte").write_bytes(header + array.tobytes())


def read_idx_split(directory, split):
    import gzip

    prefix = {"train": ("train",), "test": ("t10k", "test")}[split]

    def read(kind):
        for name in prefix:
            for path in sorted(directory.glob(f"{name}-{kind}*")):
                data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" \
                    else path.read_bytes()
                rank = data[3]
                shape = np.frombuffer(data, ">i4", rank, 4)
                return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
        raise FileNotFoundError(f"{directory}: no {kind} of {split}")

    return read("images"), read("labels").astype(np.int32)


def principal_components(rows):
    """Mean, eigenvalues (descending) and eigenvectors (columns) of the 1/N covariance."""
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))
    return mean, values[::-1], vectors[:, ::-1]


def largest_angle(one, other):
    """Largest principal angle between two column spaces, in degrees (Bjorck and Golub 1973)."""
    q1, _ = np.linalg.qr(one)
    q2, _ = np.linalg.qr(other)
    # The sine, from what of one is left outside the other, is accurate for small angles.
    sine = np.linalg.norm(q1 - q2 @ (q2.T @ q1), 2)
    return math.degrees(math.asin(min(1.0, sine)))


def tensors(run):
    """The weights of a run's last checkpoint by name."""
    data = (run / "checkpoints" / "last.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    body = data[8 + size:]
    return {name: np.frombuffer(body[entry["data_offsets"][0]:entry["data_offsets"][1]],
                                np.float32).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}
