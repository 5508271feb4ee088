#!/usr/bin/env python3
"""Has the first, second, ... last system call or allocation of a training fail, or kill it.

    sweep.py ELBO SHIM [--calls open,read,map,write,sync,rename,link,mkdir,allocate]
                       [--actions error,error+,kill,power] [--every 1] [--jobs 1]

SHIM is the library that makes them fail (fault_shim.cpp). Actions: error, the call fails, and the
next ones do not; error+, all from there on fail; kill, SIGKILL in place of the call; power, the same,
and what was not synced is lost. Each is done to a training from its start and to one resumed. It must
end well, or with one line and an exit code; every checkpoint there must be whole; and, resumed without
faults, it must end as an undisturbed one does, to the bit. Exit status 1 where that is not so.
"""

import argparse
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from training import Training, differences  # noqa: E402

ERRORS = {
    "open": "EMFILE", "read": "EIO", "map": "ENOMEM", "write": "ENOSPC", "sync": "EIO",
    "rename": "EROFS", "link": "EACCES", "mkdir": "EROFS", "allocate": "ENOMEM",
}  # fmt: skip
EPOCHS = 3
CLEAN_CODES = {0, 2, 3, 4}


def start(training, shim, fault="", counts=""):
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    if fault:
        environment["ELBO_FAULT"] = fault
    if counts:
        environment["ELBO_FAULT_COUNTS"] = str(counts)
    process = training.start(env=environment)
    return process, process.communicate()[1]


def is_clean(code, said, call):
    one_line = said.endswith("\n") and said.count("\n") == 1
    if code == 0:  # perhaps with a checkpoint that could not be read, and the one before it
        return said == "" or one_line and said.startswith("elbo: warning: ")
    if call == "allocate" and code == 1:  # OpenMP's own
        return said.startswith("\nlibgomp: ") or said.startswith("libgomp: ")
    return code in CLEAN_CODES and one_line and said.startswith("elbo: ")


class Sweep:
    def __init__(self, options, place):
        self.options, self.place = options, place
        calm = self.training("calm")
        if wrong := calm.finish():
            sys.exit(f"undisturbed: {wrong}")
        self.wanted = calm.state()
        # A training cut off in its middle, to resume.
        half = self.training("half")
        start(half, options.shim, "sync:26:kill")
        if not list(half.run.glob("checkpoints/step-*")):
            sys.exit("the training to resume was killed too early")

    def training(self, name):
        return Training(self.options.elbo, self.place / "data", self.place / name, EPOCHS)

    def begin(self, name, resumed):
        training = self.training(name)
        training.remove()
        if resumed:
            shutil.copytree(self.place / "half", training.run)
        return training

    def count(self, resumed):
        """How many calls of each kind there are."""
        training = self.begin("counted", resumed)
        counts = self.place / "counts"
        process, said = start(training, self.options.shim, counts=counts)
        if process.returncode != 0:
            sys.exit(f"with the shim alone: status {process.returncode}, {said!r}")
        lines = (line.split() for line in counts.read_text().splitlines())
        return {name: int(number) for name, number in lines}

    def disturb(self, resumed, call, number, action):
        """What went wrong, or nothing."""
        training = self.begin(f"{call}-{number}-{action}-{resumed}", resumed)
        what = ERRORS[call] + action.removeprefix("error") if "error" in action else action
        process, said = start(training, self.options.shim, f"{call}:{number}:{what}")
        code = process.returncode
        wrong = ""
        if action in ("kill", "power"):
            if code not in (-9, 0) or said:
                wrong = f"status {code}, {said!r}"
        elif not is_clean(code, said, call):
            wrong = f"not a clean end: status {code}, {said!r}"
        if damaged := training.damaged_checkpoints():
            wrong += f"; damaged: {damaged}"
        if unfit := training.finish():
            wrong += f"; afterwards: {unfit}"
        elif unlike := differences(training.state(), self.wanted):
            wrong += f"; not as undisturbed: {unlike}"
        training.remove()
        where = "resume" if resumed else "train"
        return wrong and f"{where}, {call} {number}, {action}: {wrong.lstrip('; ')}"

    def run(self):
        wrong = []
        for resumed in (False, True):
            counts = self.count(resumed)
            for call in self.options.calls.split(","):
                numbers = range(1, counts[call] + 1, self.options.every)
                for action in self.options.actions.split(","):
                    with ThreadPoolExecutor(self.options.jobs) as pool:
                        one = lambda n: self.disturb(resumed, call, n, action)  # noqa: E731
                        found = [text for text in pool.map(one, numbers) if text]
                    wrong += found
                    where = "resume" if resumed else "train"
                    print(f"{where:6} {call:8} {action:6} {len(numbers):6} faults of {counts[call]}, "
                          f"{len(found)} wrong", flush=True)  # fmt: skip
                    for text in found[:5]:
                        print("  " + text, flush=True)
        return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("elbo", type=Path)
    parser.add_argument("shim", type=Path)
    parser.add_argument("--calls", default=",".join(name for name in ERRORS if name != "allocate"))
    parser.add_argument("--actions", default="error,error+,kill,power")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th call alone")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    options.shim = options.shim.resolve()
    with tempfile.TemporaryDirectory(prefix="elbo-faults-") as place:
        return 1 if Sweep(options, Path(place)).run() else 0


if __name__ == "__main__":
    sys.exit(main())
