"""The twin against torch.distributions, which knows nothing of it."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="the twin needs torch")
from torch import distributions  # noqa: E402

from elbo_tools import twin  # noqa: E402

DIM, LATENT, BATCH, SAMPLES = 5, 3, 4, 2


def make_model(likelihood, **others):
    torch.manual_seed(1)
    config = twin.VAEConfig(
        dim=DIM, latent_dim=LATENT, hidden=(7, 6), likelihood=likelihood, samples=SAMPLES, **others
    )
    model = twin.VAE(config).double()
    with torch.no_grad():  # log-variances start at 0, which would hide a lost factor
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def make_inputs(likelihood):
    x = torch.randn(BATCH, DIM, dtype=torch.double)
    x = (x > 0).double() if likelihood == "bernoulli" else x
    return x, torch.randn(BATCH * SAMPLES, LATENT, dtype=torch.double)


def distribution_of(model, output):
    kind = model.config.likelihood
    if kind == "bernoulli":
        return distributions.Bernoulli(logits=output)
    if kind == "gaussian":
        return distributions.Normal(output[:, :DIM], torch.exp(output[:, DIM:] / 2))
    if kind == "gaussian-shared":
        return distributions.Normal(output, torch.exp(model.likelihood.log_variance / 2))
    return distributions.Normal(output, model.config.mse_variance**0.5)


CASES = list(itertools.product(twin.LIKELIHOODS, twin.POSTERIOR_VARIANCES))


@pytest.mark.parametrize("likelihood, posterior_variance", CASES)
def test_forward_equals_torch_distributions(likelihood, posterior_variance):
    beta = 0.5
    model = make_model(
        likelihood, posterior_variance=posterior_variance, beta=beta, mse_variance=0.25
    )
    x, epsilon = make_inputs(likelihood)
    evidence = model(x, epsilon)

    posterior = distributions.Normal(
        evidence.posterior_mean, torch.exp(evidence.posterior_logvar / 2)
    )
    kl = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(evidence.kl, kl)

    # Sample by sample, to prove the order of the rows.
    for b, sample in itertools.product(range(BATCH), range(SAMPLES)):
        row = b * SAMPLES + sample
        z = evidence.posterior_mean[b] + posterior.stddev[b] * epsilon[row]
        output = model.decode(z[None])
        torch.testing.assert_close(output[0], evidence.output[row])
        nll = -distribution_of(model, output).log_prob(x[b]).sum()
        torch.testing.assert_close(evidence.nll[row], nll)

    torch.testing.assert_close(evidence.loss, evidence.nll.mean() + beta * kl.mean())


@pytest.mark.parametrize("likelihood", twin.LIKELIHOODS)
def test_expectation_is_the_mean_of_the_distribution(likelihood):
    model = make_model(likelihood)
    output = model.decode(torch.randn(BATCH, LATENT, dtype=torch.double))
    expected = distribution_of(model, output).mean
    torch.testing.assert_close(model.likelihood.expectation(output), expected)


def test_parameter_names_and_shapes_are_the_checkpoint_s():
    def shapes(model):
        return {name: tuple(value.shape) for name, value in model.state_dict().items()}

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
        dim=DIM, latent_dim=LATENT, likelihood="gaussian-shared", posterior_variance="shared"
    )
    assert shapes(twin.VAE(config)) == {
        "posterior.weight": (LATENT, DIM),
        "posterior.bias": (LATENT,),
        "posterior.log_variance": (LATENT,),
        "likelihood.weight": (DIM, LATENT),
        "likelihood.bias": (DIM,),
        "likelihood.log_variance": (1,),
    }


def test_log_variance_is_clamped_with_the_matching_gradient():
    log_variance = torch.tensor([-17.0, -15.9, 0.0, 15.9, 17.0], requires_grad=True)
    clamped = twin.clamp_log_variance(log_variance)
    clamped.sum().backward()
    torch.testing.assert_close(clamped, torch.tensor([-16, -15.9, 0, 15.9, 16]))
    assert log_variance.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("field", ["activation", "likelihood", "posterior_variance"])
def test_an_unknown_name_is_refused_with_the_valid_ones(field):
    with pytest.raises(ValueError, match=f"{field}: got 'poisson', want one of .*, "):
        twin.VAEConfig(dim=1, latent_dim=1, **{field: "poisson"})
