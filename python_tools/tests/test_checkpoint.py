"""Checkpoints written with the official safetensors package are loaded."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from elbo_tools.checkpoint import load_checkpoint

CONFIG = """
recipe = "vae"
hidden = {hidden}
latent-dim = 2
activation = "tanh"
bottleneck = "gaussian"
likelihood = "gaussian-shared"
samples = 1
beta = 1.0
posterior-variance = "input"
classifier = "none"
discriminator = "none"
mse-variance = 1.0
"""
SHAPES = {
    "encoder.0.weight": (5, 12),
    "encoder.0.bias": (5,),
    "encoder.1.weight": (4, 5),
    "encoder.1.bias": (4,),
    "posterior.weight": (4, 4),
    "posterior.bias": (4,),
    "decoder.0.weight": (4, 2),
    "decoder.0.bias": (4,),
    "decoder.1.weight": (5, 4),
    "decoder.1.bias": (5,),
    "likelihood.weight": (12, 5),
    "likelihood.bias": (12,),
    "likelihood.log_variance": (1,),
}


def draw(shapes, seed):
    random = np.random.RandomState(seed)
    return {name: random.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def write_checkpoint(path, hidden='"5,4"', **metadata):
    arrays, first, second = (draw(SHAPES, seed) for seed in (1, 2, 3))
    tensors = dict(arrays)
    tensors |= {f"optimizer.first_moment.{name}": value for name, value in first.items()}
    tensors |= {f"optimizer.second_moment.{name}": value for name, value in second.items()}
    metadata = {
        "format": "elbo-checkpoint",
        "version": "2",
        "config": CONFIG.format(hidden=hidden),
        "data_shape": "3,4",
        "classes": "0",
        "step": "120",
        "epoch": "7",
    } | metadata
    save_file(tensors, path, metadata)
    return arrays, first, second


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], name)


@pytest.mark.parametrize("hidden, widths", [('"5,4"', (5, 4)), ("[5, 4]", (5, 4)), ('""', ())])
def test_round_trip(tmp_path, hidden, widths):
    arrays, first, second = write_checkpoint(tmp_path / "last.safetensors", hidden)
    checkpoint = load_checkpoint(tmp_path / "last.safetensors")
    assert_same(checkpoint.arrays, arrays)
    assert_same(checkpoint.optimizer["first_moment"], first)
    assert_same(checkpoint.optimizer["second_moment"], second)
    assert checkpoint.config["likelihood"] == "gaussian-shared"
    assert checkpoint.hidden == widths
    assert (checkpoint.step, checkpoint.epoch) == (120, 7)
    assert (checkpoint.data_shape, checkpoint.dim) == ((3, 4), 12)


def test_to_torch_computes_with_the_weights(tmp_path):
    torch = pytest.importorskip("torch", reason="to_torch needs torch")
    from elbo_tools.checkpoint import to_torch

    arrays, _, _ = write_checkpoint(tmp_path / "last.safetensors")
    model = to_torch(tmp_path / "last.safetensors")
    assert_same({name: value.numpy() for name, value in model.checkpoint_state().items()}, arrays)

    x = np.random.RandomState(4).standard_normal((6, 12)).astype(np.float32)
    hidden = x
    for layer in ("encoder.0", "encoder.1"):
        hidden = np.tanh(hidden @ arrays[f"{layer}.weight"].T + arrays[f"{layer}.bias"])
    out = hidden @ arrays["posterior.weight"].T + arrays["posterior.bias"]
    mean, log_variance = model.encode(torch.from_numpy(x))
    np.testing.assert_allclose(mean.detach(), out[:, :2], atol=1e-5)
    np.testing.assert_allclose(log_variance.detach(), out[:, 2:], atol=1e-5)


@pytest.mark.parametrize("metadata", [{"format": "other"}, {"version": "1"}])
def test_another_format_is_refused(tmp_path, metadata):
    write_checkpoint(tmp_path / "x.safetensors", **metadata)
    with pytest.raises(ValueError, match="x.safetensors: got format .* expected .*elbo-checkpoint"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_a_file_that_is_not_safetensors_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="x.safetensors: not a safetensors file"):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("part", ["bottleneck", "likelihood", "classifier", "discriminator"])
def test_to_torch_refuses_what_is_no_vae(tmp_path, part):
    pytest.importorskip("torch")
    from elbo_tools.checkpoint import to_torch

    values = {"bottleneck": "deterministic", "likelihood": "none"}
    config = "\n".join(
        f'{part} = "{values.get(part, "data")}"' if line.startswith(part) else line
        for line in CONFIG.format(hidden='"5,4"').splitlines()
    )
    write_checkpoint(tmp_path / "model.safetensors", config=config)
    with pytest.raises(ValueError, match=f"variational autoencoder.*'{part}'"):
        to_torch(tmp_path / "model.safetensors")
