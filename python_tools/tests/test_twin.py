"""Compares the twin with torch.distributions, an independent implementation."""

import itertools
import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the twin needs torch")
from torch import distributions  # noqa: E402

from elbo_tools import networks, twin  # noqa: E402

DIM, LATENT, BATCH, SAMPLES = 5, 3, 4, 2


def make_model(likelihood, **others):
    torch.manual_seed(1)
    config = twin.VAEConfig(
        **({"shape": (DIM,), "hidden": (7, 6)} | others),
        latent_dim=LATENT,
        likelihood=likelihood,
        samples=SAMPLES,
    )
    model = twin.VAE(config).double()
    with torch.no_grad():  # log-variances start at 0, which would hide a missing factor
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        if likelihood == "discretized-logistic":  # far from the mean, the reference underflows
            model.likelihood.layer.weight.mul_(0.1)
    return model


def make_inputs(likelihood, dim=DIM):
    x = torch.randn(BATCH, dim, dtype=torch.double)
    x = (x > 0).double() if likelihood == "bernoulli" else x
    if likelihood == "discretized-logistic":  # includes the smallest and largest value
        x = torch.tensor([0, 1, 128, 254, 255], dtype=torch.double)
        x = x.repeat(BATCH, -(-dim // 5))[:, :dim] / 255
    return x, torch.randn(BATCH * SAMPLES, LATENT, dtype=torch.double)


class BytesOfLogistic:
    """A logistic distribution divided into 256 bins, from its cumulative distribution function."""

    def __init__(self, mean, scale):
        logistic = distributions.TransformedDistribution(
            distributions.Uniform(torch.zeros_like(mean), torch.ones_like(mean)),
            [distributions.SigmoidTransform().inv, distributions.AffineTransform(mean, scale)],
            validate_args=False,
        )
        edges = (torch.arange(255, dtype=torch.double) + 0.5) / 255
        below = torch.stack([logistic.cdf(edge) for edge in edges])
        above = torch.stack([logistic.cdf(2 * mean - edge) for edge in edges])  # by symmetry
        none, all_ = torch.zeros_like(below[:1]), torch.ones_like(below[:1])
        from_below = torch.cat((none, below, all_)).diff(dim=0)
        from_above = -torch.cat((all_, above, none)).diff(dim=0)
        # Takes differences in the smaller tail: differences of numbers near 1 lose all digits.
        right = torch.cat((none < 0, edges.view(-1, *([1] * mean.dim())) > mean))
        self.probabilities = torch.where(right, from_above, from_below)

    def log_prob(self, x):
        places = (x * 255).round().long().expand(self.probabilities.shape[1:])
        return self.probabilities.gather(0, places[None])[0].log()


def distribution_of(model, output):
    kind, dim = model.config.likelihood, model.config.dim
    if kind == "discretized-logistic":
        return BytesOfLogistic(output[:, :dim], output[:, dim:].exp())
    if kind == "bernoulli":
        return distributions.Bernoulli(logits=output)
    if kind == "gaussian":
        return distributions.Normal(output[:, :dim], torch.exp(output[:, dim:] / 2))
    if kind == "gaussian-channel":
        return distributions.Normal(output, torch.exp(model.likelihood.element_log_variance() / 2))
    if kind == "gaussian-shared":
        return distributions.Normal(output, torch.exp(model.likelihood.log_variance / 2))
    return distributions.Normal(output, model.config.mse_variance**0.5)


CONV = {"network": "conv", "hidden": (), "channels": (4,), "kernel_size": 3}
NETWORKS = {
    "dense": {},
    "conv": CONV | {"shape": (5, 4, 3), "hidden": (7,)},
    "planar": CONV | {"shape": (3, 5, 4), "normalization": "group"},
    "residual": CONV
    | {"shape": (4, 6, 3), "residual_blocks": 1}
    | {"downsampling": "average", "upsampling": "nearest"},
}
CASES = list(itertools.product(twin.LIKELIHOODS, twin.POSTERIOR_VARIANCES, NETWORKS))


@pytest.mark.parametrize("likelihood, posterior_variance, network", CASES)
def test_forward_equals_torch_distributions(likelihood, posterior_variance, network):
    beta = 0.5
    others = {"posterior_variance": posterior_variance, "beta": beta, "mse_variance": 0.25}
    model = make_model(likelihood, **others, **NETWORKS[network])
    x, epsilon = make_inputs(likelihood, model.config.dim)
    evidence = model(x, epsilon)

    posterior = distributions.Normal(
        evidence.posterior_mean, torch.exp(evidence.posterior_logvar / 2)
    )
    kl = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(evidence.kl, kl)

    # Compares each sample, to verify the order of the rows.
    for b, sample in itertools.product(range(BATCH), range(SAMPLES)):
        row = b * SAMPLES + sample
        z = evidence.posterior_mean[b] + posterior.stddev[b] * epsilon[row]
        output = model.decode(z[None])
        torch.testing.assert_close(output[0], evidence.output[row])
        nll = -distribution_of(model, output).log_prob(x[b]).sum()
        torch.testing.assert_close(evidence.nll[row], nll)

    torch.testing.assert_close(evidence.loss, evidence.nll.mean() + beta * kl.mean())


@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 4, 3)])
def test_channels_have_variances_of_their_own(shape):
    torch.manual_seed(2)
    config = twin.VAEConfig(shape=shape, latent_dim=2, likelihood="gaussian-channel")
    likelihood = twin.VAE(config).double().likelihood
    assert likelihood.log_variance.shape == (3,)
    likelihood.log_variance.data = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.double)
    x, output = torch.randn(2, *shape, dtype=torch.double), torch.randn(2, *shape, dtype=torch.double)
    expected = torch.zeros(2, dtype=torch.double)
    axis = shape.index(3) + 1
    for channel, log_variance in enumerate(likelihood.log_variance):
        normal = distributions.Normal(output.select(axis, channel), torch.exp(log_variance / 2))
        expected -= normal.log_prob(x.select(axis, channel)).sum((1, 2))
    torch.testing.assert_close(likelihood.nll(x.flatten(1), output.flatten(1)), expected)


def test_expectation_of_bytes_is_the_logistic_s_mean_within_their_range():
    model = make_model("discretized-logistic")
    output = torch.tensor([[-0.5, 0.0, 0.25, 1.0, 3.0] + DIM * [-3.0]], dtype=torch.double)
    assert model.likelihood.expectation(output).tolist() == [[0.0, 0.0, 0.25, 1.0, 1.0]]


@pytest.mark.parametrize(
    "likelihood", [name for name in twin.LIKELIHOODS if name != "discretized-logistic"]
)
def test_expectation_is_the_mean_of_the_distribution(likelihood):
    model = make_model(likelihood)
    output = model.decode(torch.randn(BATCH, LATENT, dtype=torch.double))
    expected = distribution_of(model, output).mean
    torch.testing.assert_close(model.likelihood.expectation(output), expected)


def test_parameter_names_and_shapes_are_the_checkpoint_s():
    def shapes(model):
        return {name: tuple(value.shape) for name, value in model.checkpoint_state().items()}

    assert shapes(make_model("gaussian")) == {
        "encoder.0.weight": (7, DIM),
        "encoder.0.bias": (7,),
        "encoder.1.weight": (6, 7),
        "encoder.1.bias": (6,),
        "posterior.weight": (2 * LATENT, 6),
        "posterior.bias": (2 * LATENT,),
        "decoder.0.weight": (6, LATENT),
        "decoder.0.bias": (6,),
        "decoder.1.weight": (7, 6),
        "decoder.1.bias": (7,),
        "likelihood.weight": (2 * DIM, 7),
        "likelihood.bias": (2 * DIM,),
    }
    config = twin.VAEConfig(
        shape=(DIM,), latent_dim=LATENT, likelihood="gaussian-shared", posterior_variance="shared"
    )
    assert shapes(twin.VAE(config)) == {
        "posterior.weight": (LATENT, DIM),
        "posterior.bias": (LATENT,),
        "posterior.log_variance": (LATENT,),
        "likelihood.weight": (DIM, LATENT),
        "likelihood.bias": (DIM,),
        "likelihood.log_variance": (1,),
    }
    # Maps of 9 x 7, 5 x 4, 3 x 2 pixels; weights [narrow channels, kernel, kernel, wide channels].
    config = twin.VAEConfig(
        (9, 7, 3), LATENT, network="conv", channels=(4, 6), kernel_size=3, normalization="group"
    )
    assert shapes(twin.VAE(config)) == {
        "encoder.0.weight": (4, 3, 3, 3),
        "encoder.0.bias": (4,),
        "encoder.1.weight": (4,),
        "encoder.1.bias": (4,),
        "encoder.2.weight": (6, 3, 3, 4),
        "encoder.2.bias": (6,),
        "encoder.3.weight": (6,),
        "encoder.3.bias": (6,),
        "posterior.weight": (2 * LATENT, 3 * 2 * 6),
        "posterior.bias": (2 * LATENT,),
        "decoder.0.weight": (3 * 2 * 6, LATENT),
        "decoder.0.bias": (3 * 2 * 6,),
        "decoder.1.weight": (6,),
        "decoder.1.bias": (6,),
        "decoder.2.weight": (6, 3, 3, 4),
        "decoder.2.bias": (4,),
        "decoder.3.weight": (4,),
        "decoder.3.bias": (4,),
        "likelihood.weight": (4, 3, 3, 2 * 3),
        "likelihood.bias": (2 * 3,),
    }
    # Layers without parameters are numbered too. A block has skip weights only if channels change.
    config = replace(
        config, channels=(4,), downsampling="average", upsampling="bilinear", residual_blocks=1
    )
    config = replace(config, shape=(8, 6, 3), normalization="none")
    assert list(shapes(twin.VAE(config)))[::2] == [
        "encoder.0.weight",
        *(f"encoder.2.{part}.weight" for part in ("norm1", "conv1", "norm2", "conv2")),
        "encoder.3.weight",
        "posterior.weight",
        "decoder.0.weight",
        *(f"decoder.1.{part}.weight" for part in ("norm1", "conv1", "norm2", "conv2")),
        "decoder.2.weight",
        "likelihood.weight",
    ]


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (3, 5, 4), (1, 5, 4), (5, 4, 1), (20,)])
def test_pictures_are_read_in_the_data_s_order(shape):
    picture = networks.picture_of(shape)
    elements = torch.arange(float(math.prod(shape)))
    row = elements.view(shape)
    (pixels,) = picture.to_map(elements[None])
    channels, height, width = pixels.shape
    assert (height, width) == ((4, 5) if len(shape) == 1 else (5, 4))
    for c, y, x in itertools.product(range(channels), range(height), range(width)):
        if len(shape) == 3:
            place = row[c, y, x] if picture.planar else row[y, x, c]
        else:
            place = row[y, x] if len(shape) == 2 else row[y * width + x]
        assert pixels[c, y, x] == place
    # Two parameters, the second larger by 1000: their blocks must follow each other.
    both = torch.cat((pixels, pixels + 1000))[None]
    assert picture.to_rows(both).tolist() == [[*elements.tolist(), *(elements + 1000).tolist()]]


def test_stages_without_channels_go_down_to_five_pixels():
    def channels(shape, **others):
        config = twin.VAEConfig(shape, LATENT, network="conv", **others)
        return [tuple(stage) for stage in networks.stage_maps(config)[1:]]

    assert channels((3, 32, 32)) == [(32, 16, 16), (64, 8, 8), (128, 4, 4)]
    assert channels((100, 4), kernel_size=4) == [(32, 50, 2), (64, 25, 1)]
    assert channels((4, 5, 3)) == []
    assert channels((200, 200))[-1] == (256, 3, 3)
    assert channels((7, 7), kernel_size=5, channels=(9, 2)) == [(9, 4, 4), (2, 2, 2)]


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"shape": (4, 4, 3), "channels": (8, 8, 8)}, "channels: 3 stages are too many"),
        ({"shape": (7, 8), "channels": (8,), "upsampling": "nearest"}, "3 x 4 to 7 x 8 is not"),
        ({"shape": (4, 5, 6)}, r"rows of shape \[4, 5, 6\] are no pictures"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        twin.VAE(twin.VAEConfig(latent_dim=1, network="conv", **settings))


def test_a_checkpoint_s_state_comes_back():
    first, second = (make_model("gaussian-shared", **NETWORKS["planar"]) for _ in range(2))
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.zero_()
    state = {name: value.clone() for name, value in first.checkpoint_state().items()}
    second.load_checkpoint_state(state)
    x, epsilon = make_inputs("gaussian-shared", first.config.dim)
    assert torch.equal(first(x, epsilon).output, second(x, epsilon).output)
    for wrong in ({"strange": torch.zeros(1)}, {"posterior.bias": torch.zeros(1)}):
        with pytest.raises(RuntimeError, match=next(iter(wrong))):
            second.load_checkpoint_state(state | wrong)
    del state["encoder.0.weight"]
    with pytest.raises(RuntimeError, match="encoder.0.weight"):
        second.load_checkpoint_state(state)


def test_log_variance_is_clamped_with_the_matching_gradient():
    log_variance = torch.tensor([-17.0, -15.9, 0.0, 15.9, 17.0], requires_grad=True)
    clamped = twin.clamp_log_variance(log_variance)
    clamped.sum().backward()
    torch.testing.assert_close(clamped, torch.tensor([-16, -15.9, 0, 15.9, 16]))
    assert log_variance.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(
    "field",
    [
        *("activation", "likelihood", "posterior_variance", "objective"),
        *("network", "downsampling", "upsampling", "normalization"),
    ],
)
def test_an_unknown_name_is_refused_with_the_valid_ones(field):
    with pytest.raises(ValueError, match=f"{field}: got 'poisson', expected one of .*, "):
        twin.VAEConfig(shape=(1,), latent_dim=1, **{field: "poisson"})
