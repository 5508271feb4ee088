"""A small training to disturb, and what is left of it: what the fault injections share."""

import json
import shutil
import subprocess
import zlib
from pathlib import Path

TIMINGS = ("seconds", "samples_per_second")


class Training:
    """`elbo train` and `elbo resume` of one run directory."""

    def __init__(self, elbo, data, run, epochs, hidden="24,12"):
        self.elbo, self.data, self.run = str(elbo), Path(data), Path(run)
        self.epochs, self.hidden = epochs, hidden
        if not self.data.exists():
            command = [self.elbo, "generate", "shapes", self.data, "--size", "12"]
            command += ["--train-count", "200", "--test-count", "20"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def arguments(self):
        """To go on where there is something to go on with, and to begin otherwise."""
        if self.run.exists():
            return [self.elbo, "resume", self.run, "--quiet"]
        settings = {
            "hidden": self.hidden, "latent-dim": 3, "likelihood": "bernoulli", "epochs": self.epochs,
            "batch-size": 16, "metrics-interval": 5, "report-epochs": 1, "picture-count": 2,
            "early-stopping": 1000, "kl-warmup-epochs": 2, "learning-rate-schedule": "cosine",
            "threads": 1, "device": "cpu",
        }  # fmt: skip
        flags = [str(word) for key, value in settings.items() for word in ("--" + key, value)]
        return [self.elbo, "train", self.data, "--out", self.run, "--quiet", *flags]

    def start(self, **options):
        return subprocess.Popen(
            self.arguments(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options
        )

    def finish(self):
        """Trains to the end, undisturbed; what is wrong with that, or nothing."""
        process = self.start()
        said = process.communicate()[1]
        if process.returncode != 0:
            return f"{' '.join(map(str, process.args[1:3]))}: status {process.returncode}, {said!r}"
        # A line may name a damaged checkpoint; there is none that was not damaged on purpose.
        return f"said {said!r}" if said else ""

    def remove(self):
        shutil.rmtree(self.run, ignore_errors=True)

    def state(self):
        """All that a finished training leaves, but for its timings."""
        lines = (self.run / "metrics.jsonl").read_text().splitlines()
        files = {
            str(path.relative_to(self.run)): path.read_bytes()
            for path in sorted(self.run.rglob("*"))
            if path.suffix in (".png", ".safetensors")
            and not path.name.startswith("step-")  # which ones there are depends on interruptions
        }
        return {
            "metrics": [without_timings(line) for line in lines],
            "summary": without_timings((self.run / "summary.json").read_text()),
            **files,
        }

    def litter(self):
        """Temporary files that nobody will rename any more."""
        return [path for path in self.run.rglob(".elbo-*")]

    def damaged_checkpoints(self):
        return [path for path in self.run.glob("checkpoints/*.safetensors") if not whole(path)]


def without_timings(text):
    return {key: value for key, value in json.loads(text).items() if key not in TIMINGS}


def whole(path):
    """Whether a checkpoint is as it was written, by its checksum."""
    content = path.read_bytes()
    mark = b'"checksum":"'
    place = content.find(mark) + len(mark)
    if place < len(mark):
        return False
    unset = content[:place] + b"0" * 8 + content[place + 8 :]
    return content[place : place + 8] == b"%08x" % zlib.crc32(unset)


def differences(left, right):
    """The names of what is not equal in two states."""
    return [name for name in sorted(left.keys() | right.keys()) if left.get(name) != right.get(name)]
