"""Variational autoencoders against the linear one, and the effects of beta and of more samples."""

from workbench import Check


def ppca_optimum(rows, k):
    import numpy as np

    values = np.maximum(np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True))[::-1], 0)
    noise = values[k:].mean()
    dim = rows.shape[1]
    return -0.5 * (dim * np.log(2 * np.pi) + np.log(values[:k]).sum() +
                   (dim - k) * np.log(noise) + dim)


def vae(bench):
    """With a Gaussian decoder of learned variance, above the best linear VAE of equal k."""
    import numpy as np

    settings = {"likelihood": "gaussian-shared", "dequantize": "none", "validation_fraction": 0}
    checks = []
    run = bench.train("vae-10", "vae", latent_dim=10, epochs=bench.pick(10, 20), **settings)
    optimum = ppca_optimum(bench.rows("train")[0], 10)
    elbo = bench.evaluate(run, split="train")["elbo"]
    checks.append(Check(f"k = 10: elbo {elbo:.2f}, best linear {optimum:.2f}; nats above",
                        elbo - optimum, ">=", 0))
    if bench.frey and not bench.quick:
        rows = np.load(bench.frey)
        rows = rows.reshape(len(rows), -1) / (255.0 if rows.dtype == np.uint8 else 1.0)
        optimum = ppca_optimum(rows, 5)
        run = bench.train("vae-frey", "vae", data=bench.frey, latent_dim=5, hidden="200",
                          epochs=400, **settings)
        elbo = bench.evaluate(run, data=bench.frey, split="all")["elbo"]
        checks.append(Check(f"Frey faces, k = 5: elbo {elbo:.2f}, best linear {optimum:.2f}; nats "
                            "above", elbo - optimum, ">=", 0))
    return checks


def beta_vae(bench):
    """The KL falls and the reconstruction worsens as beta grows."""
    betas = (0.5, 1, 2, 4, 8)
    results = []
    for beta in betas:
        run = bench.train(f"beta-{beta:g}", "beta-vae", beta=beta, kl_warmup_epochs=1,
                          likelihood="bernoulli", latent_dim=16, epochs=bench.pick(4, 8))
        results.append(bench.evaluate(run))
    checks = [Check(f"beta {beta:g}: kl {result['kl']:.2f}, reconstruction",
                    result["reconstruction"], "")
              for beta, result in zip(betas, results, strict=True)]
    for what in ("kl", "reconstruction"):
        falls = min(before[what] - after[what]
                    for before, after in zip(results, results[1:], strict=False))
        checks.append(Check(f"smallest fall of {what} from one beta to the next, nats", falls,
                            ">=", 1e-3))
    return checks


def iwae(bench):
    """Bounds rise with the samples on one model; training on them models the data better."""
    samples = (1, 5, 50)
    settings = {"likelihood": "bernoulli", "hidden": "200,200", "activation": "tanh", "latent_dim": 50, "batch_size": 20,
                "epochs": bench.pick(4, 6), "validation_fraction": 0}
    runs = [bench.train(f"iwae-{k}", "iwae", samples=k, **settings)
            for k in bench.pick(samples, samples[:2])]
    many = bench.pick(500, 100)
    results = [bench.evaluate(run, importance_samples=many) for run in runs]
    checks = [Check(f"trained with k = {k}: bound {result['iwae']:.2f}, elbo {result['elbo']:.2f}, "
                    f"{result['active_units']:.0f} active units, nll of {many} samples",
                    result["nll"], "") for k, result in zip(samples, results, strict=False)]
    gain = min(before["nll"] - after["nll"]
               for before, after in zip(results, results[1:], strict=False))
    checks.append(Check("smallest fall of nll from one k to the next, nats", gain, ">=", 0))
    bounds = [bench.evaluate(runs[0], samples=k)["iwae"] for k in samples]
    checks.append(Check("one model's bounds with k = 1, 5, 50: "
                        f"{', '.join(f'{bound:.2f}' for bound in bounds)}; smallest rise",
                        min(b - a for a, b in zip(bounds, bounds[1:], strict=False)), ">=", 0))
    checks.append(Check("its nll below its largest bound, nats", -bounds[-1] - results[0]["nll"],
                        ">=", 0))
    return checks
