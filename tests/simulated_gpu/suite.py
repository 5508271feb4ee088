#!/usr/bin/env python3
"""Runs the elbo command and the engine's GPU tests on the simulated GPU.

    suite.py ELBO GPU_TESTS FOLDER [--seed N] [--seconds 500 | --all] [--only TEXT] [--jobs 2]

ELBO and GPU_TESTS are the programs linked to the simulated GPU; FOLDER is for data and runs.
Without --all it runs a selection that costs about N seconds of one core (--seconds), chosen by the
seed, whose default changes every day. A job of the output runs again with the same --seed and
--only.
"""

import argparse
import datetime
import os
import random
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from jobs import all_jobs, is_dear, selection  # noqa: E402
from program import Totals, Workplace  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("elbo", type=Path)
    parser.add_argument("gpu_tests", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=datetime.date.today().toordinal())
    parser.add_argument("--seconds", type=float, default=500.0)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="", help="jobs whose kind and name contain this")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for program in (options.elbo, options.gpu_tests):
        if not os.access(program, os.X_OK) or program.is_dir():
            parser.error(f"{program}: not a program; expected one linked to the simulated GPU")
    if options.jobs < 1:
        parser.error(f"--jobs: got {options.jobs}, expected at least 1")
    if not options.seconds > 0:
        parser.error(f"--seconds: got {options.seconds}, expected more than 0")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"{options.folder}: {error.strerror}; expected a folder for data and runs")

    rng = random.Random(options.seed)
    jobs = all_jobs(options.elbo, options.gpu_tests, rng)
    count = len(jobs)
    if options.only:
        names = [f"{job.kind}: {job.name}" for job in jobs]
        jobs = [job for job, name in zip(jobs, names) if options.only in name]
        if not jobs:
            parser.error(f"--only: no job contains {options.only!r}; the jobs are {', '.join(names)}")
    elif not options.all:
        dear = [f"{job.kind}: {job.name}" for job in jobs if is_dear(job, options.seconds)]
        if dear:
            print(f"only with --all: {', '.join(dear)}")
        jobs = selection(jobs, options.seconds, rng)
    print(f"seed {options.seed}: {len(jobs)} of {count} jobs", flush=True)

    totals, begin, wrong = Totals(), time.time(), 0

    def perform(numbered):
        number, job = numbered
        start = time.time()
        folder = options.folder / f"job-{number}"
        problems = job.run(Workplace(options.elbo, folder, totals, job.size))
        shutil.rmtree(folder, ignore_errors=True)
        return job, problems, time.time() - start

    with ThreadPoolExecutor(options.jobs) as pool:
        costly_first = sorted(enumerate(jobs), key=lambda numbered: -numbered[1].cost)
        for job, problems, seconds in pool.map(perform, costly_first):
            print(f"{job.kind}: {job.name}: {'WRONG' if problems else 'right'}, {seconds:.0f} s",
                  flush=True)  # fmt: skip
            for problem in problems:
                print(f"    {problem}", flush=True)
            wrong += bool(problems)
    print(totals.text(time.time() - begin))
    print(f"{len(jobs)} jobs, {wrong} wrong; again with --seed {options.seed}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
