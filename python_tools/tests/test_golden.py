"""The golden files under version control equal the generator's output."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

torch = pytest.importorskip("torch", reason="golden files are made with torch")
from elbo_tools import golden, networks, twin  # noqa: E402

COMMITTED = Path(__file__).resolve().parents[2] / "tests" / "golden"


def read(path):
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    golden.write_golden(folder)
    return folder


def test_regenerating_gives_identical_bytes(regenerated, tmp_path):
    golden.write_golden(tmp_path)
    files = sorted(path.name for path in regenerated.iterdir())
    assert files == sorted(path.name for path in tmp_path.iterdir())
    for name in files:
        assert (tmp_path / name).read_bytes() == (regenerated / name).read_bytes(), name


def is_input(tensor):
    """Returns True if the tensor is an input that the generator draws."""
    last = tensor.rpartition(".")[2]
    if tensor in ("x", "epsilon") or tensor.startswith("initial.") or last in ("input", "grad_y"):
        return True
    return last in ("weight", "bias") and not tensor.startswith(("gradient.", "final."))


def test_committed_files_are_the_generator_s(regenerated):
    """Inputs are bitwise equal. float64 outputs may differ in the last bits, because matrix product
    and exp depend on the processor and the version of torch; float32 outputs, by one rounding."""
    files = sorted(path.name for path in regenerated.iterdir())
    assert files == sorted(path.name for path in COMMITTED.iterdir())
    for name in files:
        (ours, metadata), (committed, committed_metadata) = (
            read(folder / name) for folder in (regenerated, COMMITTED)
        )
        assert metadata == committed_metadata, name
        assert ours.keys() == committed.keys(), name
        for tensor, value in ours.items():
            where = f"{name}: {tensor}"
            assert value.dtype == committed[tensor].dtype, where
            if is_input(tensor) or name.endswith("_points.safetensors") and value.itemsize == 4:
                assert value.dtype == np.float32, where
                np.testing.assert_array_equal(committed[tensor], value, where)
            else:
                scale = np.abs(value).max()
                one = 1e-12 if value.dtype == np.float64 else np.finfo(np.float32).eps
                np.testing.assert_allclose(
                    committed[tensor], value, rtol=one, atol=1e-12 * scale, err_msg=where
                )


def test_files_are_small_and_cases_cover_the_lists(regenerated):
    for path in regenerated.iterdir():
        assert path.stat().st_size < 90_000, path.name
    assert sum(path.stat().st_size for path in regenerated.iterdir()) < 900_000
    models = [case.model for case in golden.CASES]
    assert {model.likelihood for model in models} == set(twin.LIKELIHOODS)
    dense = [model for model in models if model.network == "dense"]
    assert {model.activation for model in dense if model.hidden} == set(twin.ACTIVATIONS)
    assert {model.posterior_variance for model in models} == set(twin.POSTERIOR_VARIANCES)
    assert {model.samples for model in models} >= {1, 2, 3}
    assert {model.objective for model in models} == set(twin.OBJECTIVES)
    assert {model.network for model in models} == set(networks.NETWORKS)
    assert {model.downsampling for model in models} == set(networks.DOWNSAMPLINGS)
    assert {model.upsampling for model in models} == set(networks.UPSAMPLINGS)
    assert {model.normalization for model in models} == set(networks.NORMALIZATIONS)
    assert {model.residual_blocks for model in models} >= {0, 1}
    assert {model.picture.planar for model in models if model.picture} == {False, True}
    assert {case.optimizer for case in golden.CASES} == {
        *("sgd", "adagrad", "adam", "adamw", "adam-epsilon-hat")
    }


@pytest.mark.parametrize("case", golden.CASES, ids=lambda case: case.name)
def test_single_precision_comes_close(case):
    """Tests that the cases are well conditioned by running the same 20 steps in float32."""
    exact, single = (golden.run_case(case, dtype) for dtype in (torch.float64, torch.float32))
    # The error of each step's update is about 16 ulp of a learning rate or of a parameter.
    bound = golden.STEPS * 16 * np.finfo(np.float32).eps
    for name in exact:
        if name.startswith("final."):
            scale = np.abs(exact[name]).max()
            np.testing.assert_allclose(single[name], exact[name], rtol=0, atol=bound * scale)


def test_an_ill_conditioned_run_is_refused():
    relu = next(case for case in golden.CASES if case.model.activation == "relu")
    with pytest.raises(RuntimeError, match="ill conditioned"):
        for seed in range(1000, 1020):
            golden.run_case(replace(relu, seed=seed))


def test_points_gradients_are_derivatives():
    """Compares with closed forms, to verify which gradient is stored under which name."""
    table = golden.likelihood_points()
    x, mean, log_variance = (table[f"gaussian.{n}"] for n in ("x", "mean", "log_variance"))
    x, mean, log_variance = (a.astype(np.float64) for a in (x, mean, log_variance))
    precision = np.exp(-np.clip(log_variance, -16, 16))
    inside = np.abs(log_variance) <= 16
    np.testing.assert_allclose(table["gaussian.grad_mean"], (mean - x) * precision, rtol=1e-14)
    np.testing.assert_allclose(
        table["gaussian.grad_log_variance"],
        inside * 0.5 * (1 - (x - mean) ** 2 * precision),
        rtol=1e-14,
    )
    x, logit = (table[f"bernoulli.{n}"].astype(np.float64) for n in ("x", "logit"))
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(table["bernoulli.grad_logit"], sigmoid - x, rtol=0, atol=1e-15)
