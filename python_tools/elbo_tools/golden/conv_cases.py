"""Training cases of network conv: every kind of downsampling and upsampling, both data layouts."""

from functools import partial

import numpy as np

from elbo_tools import twin
from elbo_tools.golden.training import Case

conv = partial(twin.VAEConfig, network="conv", latent_dim=2)
case = partial(Case, stored=np.float32)

# Layers before a norm have 9 or 10 channels, in groups of 3 or 2. If a group were one channel, the
# norm would cancel the preceding bias, whose gradient would consist of rounding errors only.
CASES = (
    case(  # odd heights and widths, which the decoder restores by output padding
        "conv_relu",
        conv((9, 7, 3), likelihood="gaussian", activation="relu", channels=(3, 5)),
        seed=2910,
    ),
    case(
        "conv_planar_group_norm",
        conv(
            *((3, 6, 7),),
            likelihood="gaussian",
            activation="silu",
            channels=(9,),
            kernel_size=3,
            normalization="group",
            samples=2,
        ),
        seed=1,
        optimizer="sgd",
        learning_rate=1 / 256,
        momentum=0.9,
    ),
    case(
        "conv_residual_bilinear",
        conv(
            *((6, 4, 3),),
            likelihood="gaussian-shared",
            activation="tanh",
            channels=(9,),
            kernel_size=2,
            residual_blocks=1,
            downsampling="average",
            upsampling="bilinear",
        ),
        seed=1,
        optimizer="sgd",
        learning_rate=1 / 256,
    ),
    case(
        "conv_average_nearest",
        conv(
            *((8, 12),),
            likelihood="bernoulli",
            activation="leaky-relu",
            channels=(3, 4),
            kernel_size=3,
            downsampling="average",
            upsampling="nearest",
        ),
        seed=79,
    ),
    case(
        "conv_pooled_group_norm",
        conv(
            *((1, 7, 6),),
            likelihood="mse",
            activation="elu",
            channels=(10,),
            downsampling="average",
            normalization="group",
            posterior_variance="shared",
        ),
        seed=1,
        optimizer="sgd",
    ),
    case(
        "conv_iwae",
        conv(
            *((5, 6, 3),),
            likelihood="bernoulli",
            activation="softplus",
            channels=(4,),
            kernel_size=5,
            hidden=(6,),
            samples=3,
            objective="iwae",
        ),
        seed=6,
        optimizer="adagrad",
    ),
    case(  # an image too small for stages: a dense layer computes both parameters of each pixel
        "conv_no_stages",
        conv((3, 4, 5), likelihood="gaussian", activation="tanh", hidden=(5,)),
        seed=4,
    ),
)
