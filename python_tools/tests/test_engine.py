"""Compares the engine with the twin on a checkpoint that the engine has trained: codes, decoded
images, and the evidence lower bound."""

import json
import os
import subprocess

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the twin needs torch")
from elbo_tools.checkpoint import to_torch  # noqa: E402
from elbo_tools.golden.terms import terms_of_vae  # noqa: E402

ROWS = 20
ENGINE_SAMPLES, TWIN_SAMPLES = 1000, 2000

DENSE = {"hidden": "6,5", "activation": "tanh"}
CONV = {"network": "conv", "hidden": ""}
# One model for each way in which settings and shapes determine the network.
MODELS = {
    "dense": ((4, 5), DENSE),
    "interleaved": ((9, 7, 3), CONV | {"channels": "3,5", "hidden": "6"}),
    "planar": ((3, 6, 5), CONV | {"channels": "4", "kernel-size": 3, "normalization": "group"}),
    "grey": ((8, 4), CONV | {"channels": "3,4", "likelihood": "bernoulli", "kernel-size": 5}),
    "vector": ((48,), CONV | {"channels": "4", "likelihood": "gaussian-shared"}),
    "nearest": (
        (8, 4, 3),
        CONV | {"channels": "4,6", "upsampling": "nearest", "downsampling": "average"},
    ),
    "residual": (
        (1, 6, 8),
        CONV
        | {"channels": "4", "residual-blocks": 2, "activation": "silu", "upsampling": "bilinear"},
    ),
    "pooled": (
        (3, 7, 9),
        CONV | {"channels": "4", "downsampling": "average", "normalization": "group"},
    ),
    "automatic": ((3, 7, 12), CONV | {"samples": 2}),
    "no_stages": ((4, 5, 3), CONV | {"likelihood": "mse", "posterior-variance": "shared"}),
}


@pytest.fixture(scope="module")
def program():
    path = os.environ.get("ELBO_PROGRAM")
    if path is None:
        pytest.skip("ELBO_PROGRAM names no elbo program")
    return path


class Trained:
    """A run trained on random images, and the twin of its checkpoint in double precision."""

    def __init__(self, program, place, shape, settings):
        self.program, self.run, self.place = program, place / "run", place
        self.data = place / "data"
        self.data.mkdir()
        random = np.random.default_rng(1)
        for split, rows in (("train", 64), ("test", ROWS)):
            values = random.random((rows, *shape), dtype=np.float32)
            np.save(self.data / f"{split}.npy", values)
        self.x = torch.from_numpy(np.load(self.data / "test.npy")).double().flatten(1)
        settings = {"latent-dim": 3, "batch-size": 8, "epochs": 4, "picture-count": 0} | settings
        settings |= {"binarize": "none", "learning-rate": 0.01}
        flags = [word for key, value in settings.items() for word in (f"--{key}", value)]
        self.elbo("train", self.data, "--out", self.run, *flags)
        self.twin = to_torch(self.run / "checkpoints" / "best.safetensors").double()
        # As in tests/golden.hpp: rounding errors of sums, relative to the largest number.
        self.rounding = 1.5 * terms_of_vae(self.twin) ** 0.5 * 2.0**-23

    def elbo(self, *words):
        command = [str(word) for word in (self.program, *words, "--device", "cpu")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def assert_near(self, got, want):
        assert got.shape == want.shape
        bound = self.rounding * np.abs(want).max()
        np.testing.assert_allclose(got, want, rtol=0, atol=bound)


@pytest.fixture(scope="module", params=MODELS)
def trained(program, request, tmp_path_factory):
    return Trained(program, tmp_path_factory.mktemp(request.param), *MODELS[request.param])


@torch.no_grad()
def test_codes_and_pictures_are_the_engine_s(trained):
    codes, pictures = trained.place / "codes.npy", trained.place / "pictures.npy"
    trained.elbo("encode", trained.run, trained.data, "--split", "test", "--out", codes)
    trained.elbo("decode", trained.run, codes, "--out", pictures)
    codes, pictures = np.load(codes), np.load(pictures)
    mean, _ = trained.twin.encode(trained.x)
    trained.assert_near(codes, mean.numpy())
    output = trained.twin.decode(torch.from_numpy(codes).double())
    expectation = trained.twin.likelihood.expectation(output)
    trained.assert_near(pictures.reshape(ROWS, -1), expectation.numpy())


@torch.no_grad()
def test_the_bound_is_the_engine_s(trained):
    words = ("evaluate", trained.run, trained.data, "--samples", ENGINE_SAMPLES, "--json")
    engine = json.loads(trained.elbo(*words))
    torch.manual_seed(1)
    mean, log_variance = trained.twin.encode(trained.x)
    rows = trained.x.repeat_interleave(TWIN_SAMPLES, 0)
    scale = torch.exp(0.5 * log_variance).repeat_interleave(TWIN_SAMPLES, 0)
    z = mean.repeat_interleave(TWIN_SAMPLES, 0) + scale * torch.randn_like(scale)
    nll = trained.twin.likelihood.nll(rows, trained.twin.decode(z)).view(ROWS, TWIN_SAMPLES)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, torch.exp(0.5 * log_variance)),
        torch.distributions.Normal(0.0, 1.0),
    ).sum(dim=1)
    assert engine["kl"] == pytest.approx(kl.mean().item(), abs=trained.rounding * kl.max().item())
    # Engine and twin draw independent noise: allow five standard errors of the difference.
    variance = nll.var(dim=1).sum().item() / ROWS**2
    error = (variance * (1 / ENGINE_SAMPLES + 1 / TWIN_SAMPLES)) ** 0.5
    bound = 5 * error + trained.rounding * nll.abs().max().item()
    assert engine["elbo"] == pytest.approx(-(nll.mean() + kl.mean()).item(), abs=bound)
    assert bound < 0.05 * nll.mean().abs().item()  # otherwise the comparison would prove nothing
