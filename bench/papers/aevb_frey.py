#!/usr/bin/env python3
"""Kingma and Welling, "Auto-Encoding Variational Bayes" (ICLR 2014), figure 2: the lower bound on
Frey faces with a Gaussian decoder and 2, 5, 10 or 20 latent variables.

    bench/papers/aevb_frey.py --program build/elbo --data frey_faces.npy --latents 5 --out aevb-5
"""

import reproduction
from reproduction import Evaluation, Reproduction

FACES = 1965
HELD_OUT = 0.1
ROWS = FACES - round(HELD_OUT * FACES)  # number of training faces
SAMPLES = 10_000_000  # total number of samples in training


def settings(latents, scale):
    return {
        "hidden": "200",
        "activation": "tanh",
        "latent-dim": latents,
        "likelihood": "gaussian",
        "dequantize": "none",
        "validation-fraction": HELD_OUT,
        "batch-size": 100,
        "epochs": max(1, round(scale * SAMPLES / ROWS)),
        "optimizer": "adagrad",
        "learning-rate": 0.01,
        # The prior N(0, I) of the weights adds |w|^2 / 2 once for all rows; a mean over the rows
        # divides it by their number.
        "weight-decay": repr(1 / ROWS),
        "output-init": "zero",
    }


def experiment(latents, scale):
    return Reproduction(
        name=f"aevb-frey-{latents}",
        source="Kingma and Welling 2014, figure 2",
        settings=settings(latents, scale),
        # Sampling noise of the bound is small with 100 samples per face.
        evaluations=[Evaluation("elbo", "validation", {"samples": 100}),
                     Evaluation("elbo", "train", {"samples": 100})],
        published=None)


def main():
    parser = reproduction.argument_parser(" ".join(__doc__.split("\n\n")[0].split()),
                                          "Frey faces as .npy, uint8 [1965, 28, 20]")
    parser.add_argument("--latents", type=int, choices=(2, 5, 10, 20), default=5,
                        help="(default: 5)")
    arguments = parser.parse_args()
    reproduction.main(experiment(arguments.latents, arguments.scale), arguments)


if __name__ == "__main__":
    main()
