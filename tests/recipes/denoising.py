"""Denoising autoencoders with more code elements than inputs."""

import numpy as np

from workbench import Check


def probe(bench, run):
    """Test accuracy, in %, of a linear classifier on a run's codes of clean inputs."""
    splits = {}
    for split in ("train", "test"):
        splits[split] = (bench.encode(run, split=split), bench.rows(split)[1])
    scale = splits["train"][0].std()  # so that one learning rate serves all codes
    data = bench.dataset(f"{run.name}-codes",
                         **{split: (codes / scale, labels)
                            for split, (codes, labels) in splits.items()})
    linear = bench.train(f"{run.name}-probe", "mlp-classifier", data=data, hidden="",
                         epochs=bench.pick(5, 20))
    return 100 * bench.evaluate(linear, data=data)["accuracy"]


def clean_error(bench, run):
    """Squared error per test image of what a run makes of clean inputs."""
    bench.encode(run)
    out = bench.place / f"{run.name}-decoded.npy"
    bench.elbo("decode", run, bench.place / f"{run.name}-codes-test.npy", "--checkpoint", "last",
               "--out", out)
    rows = bench.rows("test")[0]
    return float(((np.load(out).reshape(rows.shape) - rows)**2).sum(axis=1).mean())


def denoising_autoencoder(bench):
    """Without noise an over-complete net copies its input; with noise it learns better codes."""
    settings = {"epochs": bench.pick(8, 20), "validation_fraction": 0}
    copying = bench.train("copying", "denoising-autoencoder", corruption="none", **settings)
    copied = clean_error(bench, copying)
    checks = []
    runs = {}
    for kind, level in {"gaussian": 0.5, "masking": 0.5, "salt-and-pepper": 0.3}.items():
        run = bench.train(f"denoising-{kind}", "denoising-autoencoder", corruption=kind,
                          corruption_level=level, **settings)
        runs[kind] = run
        result = bench.evaluate(run)
        checks.append(Check(f"{kind} {level:g}: PSNR of noisy inputs {result['input_psnr']:.2f} dB,"
                            f" of restored ones {result['psnr']:.2f} dB; gain, dB",
                            result["psnr"] - result["input_psnr"], ">=", 3))
    denoised = clean_error(bench, runs["masking"])
    of_copying, of_denoising = probe(bench, copying), probe(bench, runs["masking"])
    return [
        Check("without noise: squared error per image (a copy's is 0)", copied, "<=",
              bench.pick(1, 3)),
        Check("masking 0.5: squared error per clean image, times that", denoised / copied, ">=", 3),
        *checks,
        Check("linear probe on the copying net's code, %", of_copying, ""),
        Check("linear probe on the denoising net's code, percentage points better",
              of_denoising - of_copying, ">=", bench.pick(0.2, 0)),
    ]
