"""The proofs of prove.py in their quick form, one test for each recipe."""

import os
import pathlib
import sys

import pytest

pytest.importorskip("numpy")
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import prove  # noqa: E402


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    program = os.environ.get("ELBO_PROGRAM")
    if program is None:
        pytest.skip("ELBO_PROGRAM names no elbo program")
    return prove.quick_bench(program, tmp_path_factory.mktemp("proofs"))


@pytest.mark.parametrize("name", prove.PROOFS)
def test_recipe_keeps_its_bounds(bench, name):
    checks = prove.PROOFS[name](bench)
    assert checks
    for check in checks:
        assert check.passed, str(check)
