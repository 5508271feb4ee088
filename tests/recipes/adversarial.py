"""Generative adversarial recipes on pictures. On known densities: tests/gan_test.cpp."""

import numpy as np

from workbench import Check


def confident(bench, judge, run, count):
    """The part of a run's samples of the prior that a classifier puts in one class with p > 0.9."""
    samples = bench.sample(run, count)
    data = bench.dataset(f"{run.name}-samples",
                         test=(samples, np.zeros(count)), train=(samples[:2], np.zeros(2)))
    out = bench.place / f"{run.name}-classes.npy"
    bench.elbo("classify", judge, data, "--split", "test", "--out", out)
    return float((np.load(out).max(axis=1) > 0.9).mean())


def samples_like_digits(bench, recipe, epochs):
    """Samples of a VAE-GAN against those of the same model without discriminator."""
    settings = {"epochs": epochs}
    gan = bench.train(recipe, recipe, **settings)
    vae = bench.train(f"{recipe}-plain", recipe, discriminator="none", **settings)
    # A judge of the values that decoders make: floats in [0, 1].
    judge = bench.train(f"{recipe}-judge", "mlp-classifier", epochs=5, data=bench.dataset(
        "floats", **{split: bench.rows(split, flat=False) for split in ("train", "test")}))
    count = bench.pick(4000, 1000)
    of_gan, of_vae = (100 * confident(bench, judge, run, count) for run in (gan, vae))
    result = bench.evaluate(gan)
    return [
        Check("samples of the VAE that are confidently one digit, %", of_vae, ""),
        Check("samples of the GAN that are confidently one digit, %", of_gan, ""),
        Check("more of them than of the VAE's, in percentage points", of_gan - of_vae, ">=",
              bench.pick(5, 0)),
        Check("squared error of the GAN's reconstructions over the VAE's",
              squared_error(bench, gan) / squared_error(bench, vae), ""),
        Check("V(D, G)", result["gan_value"], ""),
    ]


def gan_autoencoder(bench):
    """Samples look more often like one digit than those of the plain VAE of the same size."""
    return samples_like_digits(bench, "gan-autoencoder", bench.pick(15, 8))


def squared_error(bench, run):
    """Of E[x | z = mu(x)] per test image."""
    codes = bench.encode(run)
    source = bench.place / f"{run.name}-codes-test.npy"
    out = bench.place / f"{run.name}-decoded.npy"
    bench.elbo("decode", run, source, "--checkpoint", "last", "--out", out)
    means = np.load(out).reshape(len(codes), -1)
    return float(((means - bench.rows("test")[0])**2).sum(axis=1).mean())


def two_sample_accuracy(bench, codes, name):
    """Test accuracy of a classifier that tells codes from draws of N(0, I): one half if it cannot
    (Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", 2017)."""
    random = np.random.default_rng(1)
    rows = np.concatenate([codes, random.standard_normal(codes.shape)])
    labels = np.repeat([0, 1], len(codes))
    order = random.permutation(len(rows))
    half = len(rows) // 2
    data = bench.dataset(name, train=(rows[order[:half]], labels[order[:half]]),
                         test=(rows[order[half:]], labels[order[half:]]))
    run = bench.train(f"{name}-test", "mlp-classifier", data=data, hidden="128,128", epochs=20)
    return bench.evaluate(run, data=data)["accuracy"]


def adversarial_autoencoder(bench):
    """Codes of test images like draws from N(0, I)."""
    run = bench.train("adversarial-autoencoder", "adversarial-autoencoder",
                      epochs=bench.pick(20, 20))
    codes = bench.encode(run)
    mean = np.abs(codes.mean(axis=0)).max()
    covariance = np.abs(np.cov(codes, rowvar=False) - np.eye(codes.shape[1])).max()
    accuracy = two_sample_accuracy(bench, codes, "codes-or-prior")
    # The same encoder without a discriminator, to show what the test can tell.
    free = bench.train("adversarial-autoencoder-without", "adversarial-autoencoder",
                       discriminator="none", epochs=5)
    other = bench.encode(free)
    other = (other - other.mean(axis=0)) / other.std(axis=0)
    return [
        Check("largest |mean| of a code's element", mean, "<=", 0.1),
        Check("largest deviation of the codes' covariance from I", covariance, "<=", 0.15),
        Check("two-sample test: accuracy of a classifier (0.5: cannot tell)", accuracy, "<=", 0.6),
        Check("the same test on standardised codes without discriminator",
              two_sample_accuracy(bench, other, "free-codes-or-prior"), ""),
    ]
