#!/usr/bin/env python3
"""Trains every recipe and holds it against something known.

    tests/recipes/prove.py --program build/cpu/elbo --data mnist --frey frey_faces.npy --out proofs
    tests/recipes/prove.py --program build/cpu/elbo --quick --out proofs [RECIPE...]

Each check prints what was measured and the bound it keeps; the exit status is 1 if one does not.
proofs/results.json holds the numbers and the commands that made them. Needs numpy. The full form
wants MNIST (IDX files) and takes about half an hour on two cores; --quick makes its own data.
Pure GANs and full Gaussians have their proofs in gan_test and information_test.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import adversarial
import classifying
import convolutional
import denoising
import linear
import variational
from workbench import Check, Workbench, blob_pictures, write_idx_split

PROOFS = {
    "mlp-classifier": classifying.mlp_classifier,
    "pca": linear.pca,
    "autoencoder": linear.autoencoder,
    "deep-autoencoder": linear.deep_autoencoder,
    "denoising-autoencoder": denoising.denoising_autoencoder,
    "regularized-autoencoder": classifying.regularized_autoencoder,
    "ppca": linear.ppca,
    "vae": variational.vae,
    "conv-vae": convolutional.conv_vae,
    "resnet-vae": convolutional.resnet_vae,
    "beta-vae": variational.beta_vae,
    "iwae": variational.iwae,
    "gan-autoencoder": adversarial.gan_autoencoder,
    "conv-vae-gan": convolutional.conv_vae_gan,
    "adversarial-autoencoder": adversarial.adversarial_autoencoder,
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="these alone")
    parser.add_argument("--program", required=True, type=pathlib.Path, help="the elbo program")
    parser.add_argument("--data", type=pathlib.Path, help="directory of MNIST's IDX files")
    parser.add_argument("--frey", type=pathlib.Path, help="Frey faces as .npy, for the vae")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="directory to make")
    parser.add_argument("--quick", action="store_true", help="short, on generated data")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.recipes if name not in PROOFS]
    if unknown:
        parser.error(f"no proof of {', '.join(unknown)}; there are {', '.join(PROOFS)}")
    if not arguments.quick and arguments.data is None:
        parser.error("--data DIR is needed without --quick")
    if arguments.out.exists():
        parser.error(f"{arguments.out} exists already")
    return arguments


def quick_bench(program, place):
    """On generated pictures of 16 x 16, in ten classes."""
    data = place / "data"
    write_idx_split(data, "train", *blob_pictures(8000, seed=1))
    write_idx_split(data, "t10k", *blob_pictures(2000, seed=2))
    return Workbench(program, data, place, True)


def prove(bench, name):
    """Runs one proof; prints and returns its checks as JSON."""
    start, commands = time.monotonic(), len(bench.commands)
    try:
        checks = PROOFS[name](bench)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        checks = [Check("what could be run", math.nan, "")]
    seconds = time.monotonic() - start
    print(f"{name} ({seconds:.0f} s)")
    for check in checks:
        print(f"  {'ok    ' if check.passed else 'FAILED'} {check}", flush=True)
    return {
        "seconds": seconds,
        "passed": all(check.passed for check in checks),
        "checks": [{"what": check.what, "measured": float(check.measured),
                    "relation": check.relation,
                    "bound": check.bound if check.relation else None} for check in checks],
        "commands": bench.commands[commands:],
    }


def main():
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True)
    if arguments.quick:
        bench = quick_bench(arguments.program, arguments.out)
    else:
        bench = Workbench(arguments.program, arguments.data, arguments.out, False, arguments.frey)
    results = {}
    for name in arguments.recipes or PROOFS:
        results[name] = prove(bench, name)
        (arguments.out / "results.json").write_text(
            json.dumps({"quick": arguments.quick, "recipes": results}, indent=1))
    failed = [name for name, result in results.items() if not result["passed"]]
    seconds = sum(result["seconds"] for result in results.values())
    print(f"{len(results) - len(failed)} of {len(results)} recipes proven in {seconds:.0f} s")
    if failed:
        sys.exit(f"FAILED: {', '.join(failed)}")


if __name__ == "__main__":
    main()
