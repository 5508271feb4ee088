#!/usr/bin/env python3
"""Chadebec, Vincent and Allassonniere, "Pythae: Unifying Generative Autoencoders in Python"
(NeurIPS 2022): the VAE on binary MNIST, test NLL by 200 importance samples.

    bench/papers/pythae_vae.py --program build/elbo --data mnist --out pythae
"""

import reproduction
from reproduction import Evaluation, Reproduction, Schedule

SCHEDULE = Schedule(500, [200, 350], 10 ** (-1 / 5))


def settings(scale):
    return {
        "hidden": "400",
        "activation": "relu",
        "latent-dim": 40,
        "likelihood": "bernoulli",
        "binarize": "fixed",
        # The checkpoint is selected on 10,000 validation images.
        "validation-split": "last",
        "validation-fraction": repr(1 / 6),
        "batch-size": 100,
        "optimizer": "adam",
        "learning-rate": 1e-4,
        **SCHEDULE.scaled(scale).settings(),
        "output-init": "zero",
    }


def experiment(scale):
    return Reproduction(
        name="pythae-vae",
        source="Chadebec et al. 2022",
        settings=settings(scale),
        evaluations=[Evaluation("nll", "test", {"importance-samples": 200})],
        published=89.78, published_error=0.01, checkpoint="best")


def main():
    arguments = reproduction.argument_parser(" ".join(__doc__.split("\n\n")[0].split()),
                                             "MNIST's IDX files").parse_args()
    reproduction.main(experiment(arguments.scale), arguments)


if __name__ == "__main__":
    main()
