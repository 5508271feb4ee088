"""Linear and deep autoencoders against principal component analysis."""

import numpy as np

from workbench import Check, largest_angle, principal_components, tensors


def pca(bench):
    """The linear autoencoder's optimum: error sum of the eigenvalues beyond k, PCA's subspace."""
    rows, _ = bench.rows("train")
    _, values, vectors = principal_components(rows)
    checks = []
    for k in bench.pick((10, 30), (5, 10)):
        run = bench.train(f"pca-{k}", "pca", latent_dim=k, **bench.pick({}, {"steps": 3000}))
        error = bench.evaluate(run, split="train")["squared_error"]
        optimum = values[k:].sum()
        angle = largest_angle(tensors(run)["likelihood.weight"].astype(float), vectors[:, :k])
        checks += [
            Check(f"k = {k}: squared error {error:.4f} over PCA's {optimum:.4f}, in %",
                  100 * (error / optimum - 1), "<=", 0.1),
            Check(f"k = {k}: largest principal angle to PCA's subspace, degrees", angle, "<=", 1),
        ]
    return checks


def autoencoder(bench):
    """Beats PCA at equal k, on data neither was fitted to."""
    train, _ = bench.rows("train")
    test, _ = bench.rows("test")
    mean, _, vectors = principal_components(train)
    k = bench.pick(32, 10)
    run = bench.train("autoencoder", "autoencoder", latent_dim=k, epochs=bench.pick(10, 20))
    error = bench.evaluate(run)["squared_error"]
    left = test - mean
    left = left - left @ vectors[:, :k] @ vectors[:, :k].T
    of_pca = float((left**2).sum(axis=1).mean())
    return [Check(f"squared error {error:.3f} per test image as a part of PCA-{k}'s {of_pca:.3f}",
                  error / of_pca, "<=", bench.pick(0.75, 0.95))]


def deep_autoencoder(bench):
    """Hinton and Salakhutdinov's 784-1000-500-250-30: 3.00; PCA with 30 components: 13.87."""
    train, _ = bench.rows("train")
    test, _ = bench.rows("test")
    settings = bench.pick({}, {"hidden": "200,100,50", "epochs": 10})
    run = bench.train("deep-autoencoder", "deep-autoencoder", **settings)
    error = bench.evaluate(run)["squared_error"]
    mean, _, vectors = principal_components(train)
    left = test - mean
    left = left - left @ vectors[:, :30] @ vectors[:, :30].T
    of_pca = float((left**2).sum(axis=1).mean())
    if bench.quick:
        return [Check("squared error per test image as a part of PCA-30's", error / of_pca, "<=",
                      0.8)]
    return [Check("squared error per test image (paper: 3.00)", error, "<=", 3.5),
            Check("PCA-30's, by how much it misses the paper's 13.87", abs(of_pca - 13.87), "<=",
                  0.05)]


def ppca(bench):
    """The linear VAE reaches probabilistic PCA's log p(x) and never passes it."""
    rows, _ = bench.rows("train")
    k, dim = 10, rows.shape[1]
    _, values, _ = principal_components(rows)
    values = np.maximum(values, 0)
    noise = values[k:].mean()
    optimum = -0.5 * (dim * np.log(2 * np.pi) + np.log(values[:k]).sum() +
                      (dim - k) * np.log(noise) + dim)
    kl = 0.5 * np.log(values[:k] / noise).sum()
    run = bench.train("ppca", "ppca", **bench.pick({}, {"steps": 20_000}))
    result = bench.evaluate(run, split="train", samples=bench.pick(100, 50))
    return [
        Check(f"nats below the closed form's {optimum:.3f}", optimum - result["elbo"], "<=", 0.1),
        Check("nats above it (Monte Carlo noise apart)", result["elbo"] - optimum, "<=", 0.01),
        Check(f"kl over the closed form's {kl:.3f}, in %", 100 * abs(result["kl"] / kl - 1), "<=",
              1),
    ]
