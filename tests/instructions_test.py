#!/usr/bin/env python3
"""Counts the instructions of a training step and of its ops with callgrind and compares them with
recorded figures: a slower hot path shows on any machine, however busy.

    instructions_test.py PROGRAM FIGURES            compare
    instructions_test.py PROGRAM FIGURES --record   write the figures anew

Counts depend on the compiler, its options and oneDNN. Figures recorded for others are not compared,
nor is there anything to compare without valgrind: exit code 77.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 0.04  # of a count; the processor's caches, by which libraries cut work, move it by less
LEAST = 2000  # instructions, below which a count may differ freely
SKIPPED = 77


def count(program: Path) -> tuple[str, dict[str, int]]:
    """What the counts hold for, and instructions of one run by name."""
    with tempfile.TemporaryDirectory() as folder:
        function = "counted_runs"
        command = ["valgrind", "--tool=callgrind", "--collect-atstart=no"]
        command += [f"--toggle-collect={function}", f"--dump-after={function}"]
        command += [f"--callgrind-out-file={folder}/out", program]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
        said = json.loads(done.stdout)
        counts = {}
        for number, name in enumerate(said["counted"], 1):
            text = Path(folder, f"out.{number}").read_text()
            counts[name] = round(int(re.search(r"^totals: (\d+)", text, re.M)[1]) / said["runs"])
    return said["for"], counts


def compare(recorded: dict[str, int], counts: dict[str, int], renew: str) -> int:
    wrong = 0
    for name in recorded | counts:
        want, got = recorded.get(name), counts.get(name)
        verdict = "as recorded"
        if want is None or got is None:
            verdict = f"{'not recorded' if want is None else 'no longer counted'}: {renew}"
        elif abs(got - want) > max(TOLERANCE * want, LEAST):
            verdict = "MORE than recorded" if got > want else f"fewer than recorded: {renew}"
        wrong += verdict != "as recorded"
        print(f"{name:28} {got or 0:12,} recorded {want or 0:12,}  {verdict}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--record", action="store_true", help="write the figures")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        print("not counted: there is no valgrind (Debian and Ubuntu: valgrind)")
        return SKIPPED
    conditions, counts = count(options.program)
    if options.record:
        figures = {"for": conditions, "instructions": counts}
        options.figures.write_text(json.dumps(figures, indent=2) + "\n")
        print(f"recorded in {options.figures} for {conditions}")
        return 0
    figures = json.loads(options.figures.read_text())
    if figures["for"] != conditions:
        print(f"not compared: recorded for {figures['for']}, here is {conditions}")
        return SKIPPED
    script = Path(__file__).resolve()
    renew = f"to record the new figures: {script} {options.program} {options.figures} --record"
    return compare(figures["instructions"], counts, renew)


if __name__ == "__main__":
    sys.exit(main())
