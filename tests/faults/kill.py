#!/usr/bin/env python3
"""Kills a training with SIGKILL at random instants and resumes it, over and over.

    kill.py ELBO [--kills 200] [--epochs 60] [--seed 1]

Every resumption must succeed, silently, and whenever a training gets to its end its checkpoints,
metrics and pictures must be those of an undisturbed one, to the bit. Exit status 1 where they are not.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from training import Training, differences  # noqa: E402

WIDE = "256,128"  # so that a good part of the time goes into writing checkpoints


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("elbo", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)

    with tempfile.TemporaryDirectory(prefix="elbo-kill-") as place:
        place = Path(place)
        calm = Training(options.elbo, place / "data", place / "calm", options.epochs, WIDE)
        begin = time.monotonic()
        if wrong := calm.finish():
            sys.exit(f"undisturbed: {wrong}")
        duration = time.monotonic() - begin
        wanted = calm.state()

        kills = finished = writing = 0
        while kills < options.kills:
            training = Training(options.elbo, place / "data", place / "run", options.epochs, WIDE)
            training.remove()
            while True:
                process = training.start()
                try:
                    # Short enough that a training takes some kills, long enough that it gets on.
                    process.wait(chance.uniform(0.01, 0.8) * duration)
                except subprocess.TimeoutExpired:
                    process.kill()
                said = process.communicate()[1]
                if process.returncode == 0:
                    break
                if process.returncode != -9 or said:
                    sys.exit(f"after {kills} kills: status {process.returncode}, {said!r}")
                kills += 1
                writing += len(training.litter()) > 0
                if damaged := training.damaged_checkpoints():
                    sys.exit(f"after {kills} kills: damaged: {damaged}")
                if kills == options.kills:
                    if wrong := training.finish():
                        sys.exit(f"after {kills} kills: {wrong}")
                    break
            finished += 1
            if unlike := differences(training.state(), wanted):
                sys.exit(f"after {kills} kills: not as undisturbed: {unlike}")
            if litter := training.litter():
                sys.exit(f"left behind: {litter}")
        print(f"{kills} kills, {writing} of them while a file was written; "
              f"{finished} trainings finished, all equal to the undisturbed one")  # fmt: skip


if __name__ == "__main__":
    main()
