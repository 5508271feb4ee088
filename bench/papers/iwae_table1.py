#!/usr/bin/env python3
"""Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders" (ICLR 2016), table 1: MNIST,
one stochastic layer, test NLL by 5000 importance samples.

    bench/papers/iwae_table1.py --program build/elbo --data mnist --objective iwae -k 5 --out iwae-5
"""

import reproduction
from reproduction import Evaluation, Reproduction, Schedule

PUBLISHED = {"vae": {1: 86.76, 5: 86.47, 50: 86.35}, "iwae": {1: 86.76, 5: 85.54, 50: 84.78}}

# Stages of 3^i epochs, i = 0 to 7, at rates of 1e-3 * 10^(-i/7).
SCHEDULE = Schedule(3280, [1, 4, 13, 40, 121, 364, 1093], 10 ** (-1 / 7))


def settings(objective, k, scale):
    return {
        "hidden": "200,200",
        "activation": "tanh",
        "latent-dim": 50,
        "likelihood": "bernoulli",
        "objective": {"vae": "elbo", "iwae": "iwae"}[objective],
        "samples": k,
        "binarize": "dynamic",
        # Trained on the first 59,600 images.
        "validation-split": "last",
        "validation-fraction": repr(400 / 60000),
        "batch-size": 20,
        # Adam as in the published code: beta1 is 0.99, the second moment starts at 1, and epsilon
        # is added before the bias correction. Gradients are summed over the batch.
        "optimizer": "adam-epsilon-hat",
        "beta1": 0.99,
        "beta2": 0.999,
        "epsilon": 1e-4,
        "adam-second-moment-init": 1,
        "loss-reduction": "sum",
        "learning-rate": 1e-3,
        **SCHEDULE.scaled(scale).settings(),
        "output-init": "data",
    }


def experiment(objective, k, scale, importance_samples=5000):
    return Reproduction(
        name=f"{objective}-{k}",
        source="Burda et al. 2016, table 1",
        settings=settings(objective, k, scale),
        evaluations=[Evaluation("nll", "test", {"importance-samples": importance_samples})],
        published=PUBLISHED[objective].get(k) if importance_samples == 5000 else None)


def main():
    parser = reproduction.argument_parser(__doc__.split("\n\n")[0], "MNIST's IDX files")
    parser.add_argument("--objective", choices=PUBLISHED, default="vae", help="(default: vae)")
    parser.add_argument("-k", type=int, default=1, help="samples of z per image in training; "
                        "published are 1, 5 and 50 (default: 1)")
    parser.add_argument("--importance-samples", type=int, default=5000, metavar="K",
                        help="of the evaluation (default: 5000, as published)")
    arguments = parser.parse_args()
    reproduction.main(experiment(arguments.objective, arguments.k, arguments.scale,
                                 arguments.importance_samples), arguments)


if __name__ == "__main__":
    main()
