import gzip
import json

import numpy as np
import pytest

from elbo_tools import plots

PNG = b"\x89PNG\r\n\x1a\n"


def metrics_line(split, step):
    kl = 25 - 20 * np.exp(-step / 800)
    reconstruction = -90 - 460 * np.exp(-step / 60) - (3 if split == "validation" else 0)
    row = {
        "split": split,
        "step": step,
        "epoch": step // 400,
        "elbo": reconstruction - kl,
        "reconstruction": reconstruction,
        "kl": kl,
        "seconds": step / 100,
        "samples_per_second": 12800,
    }
    return row | ({"learning_rate": 1e-3} if split == "train" else {})


@pytest.fixture
def run(tmp_path):
    rows = [metrics_line("train", step) for step in range(10, 4001, 10)]
    rows += [metrics_line("validation", step) for step in range(400, 4001, 400)]
    rows.sort(key=lambda row: row["step"])
    run = tmp_path / "mnist"
    run.mkdir()
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def test_curves_are_drawn(run, capsys):
    assert plots.main([str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "curves.png")
    assert (run / "curves.png").read_bytes().startswith(PNG)


def test_curves_of_a_run_in_progress(run):
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"split":"train","st')
    splits = plots.read_metrics(run / "metrics.jsonl")
    assert (len(splits["train"]), len(splits["validation"])) == (400, 10)


def test_a_broken_line_is_named(run, capsys):
    (run / "metrics.jsonl").write_text('{"split":"train","step":1}\nnonsense\n')
    assert plots.main([str(run)]) == 3
    assert "metrics.jsonl:2: not a line of metrics" in capsys.readouterr().err


def test_a_missing_run_is_named(tmp_path, capsys):
    assert plots.main([str(tmp_path / "nowhere")]) == 3
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("latent", [1, 2, 10])
@pytest.mark.parametrize("classes", [0, 10, 100])
def test_codes_are_drawn(tmp_path, latent, classes):
    random = np.random.RandomState(1)
    np.save(tmp_path / "z.npy", random.standard_normal((300, latent)).astype(np.float32))
    labels = random.randint(0, classes, 300) if classes else None
    out = plots.plot_codes(tmp_path / "z.npy", labels, tmp_path / "codes.png")
    assert out.read_bytes().startswith(PNG)


def test_codes_beside_the_curves(run):
    np.save(run / "z.npy", np.random.RandomState(1).standard_normal((50, 3)))
    idx = b"\0\0\x08\x01" + (50).to_bytes(4, "big") + bytes(i % 10 for i in range(50))
    (run / "labels.gz").write_bytes(gzip.compress(idx))
    options = ["--codes", str(run / "z.npy"), "--labels", str(run / "labels.gz")]
    assert plots.main([str(run), *options]) == 0
    assert (run / "codes.png").read_bytes().startswith(PNG)
    np.testing.assert_array_equal(plots.read_labels(run / "labels.gz"), np.arange(50) % 10)


def test_the_plane_holds_the_largest_variances():
    spread = np.diag([1.0, 4.0, 0.0, 3.0])
    points, names = plots.project_to_plane(np.concatenate([spread, -spread]) + 7)
    expected = np.zeros((4, 2))
    expected[1, 0], expected[3, 1] = 4, 3
    # The sign of a principal component is arbitrary.
    np.testing.assert_allclose(np.abs(points), np.concatenate([expected, expected]), atol=1e-12)
    assert names[0] == "principal component 1 (62% of the variance)"


@pytest.mark.parametrize("codes, labels", [(np.zeros(3), None), (np.zeros((3, 2)), np.zeros(4))])
def test_codes_of_the_wrong_shape_are_refused(codes, labels, tmp_path):
    with pytest.raises(ValueError, match="got"):
        plots.plot_codes(codes, labels, tmp_path / "codes.png")
