"""Classifiers, alone and beside a decoder."""

from workbench import Check


def mlp_classifier(bench):
    run = bench.train("mlp-classifier", "mlp-classifier")
    accuracy = 100 * bench.evaluate(run)["accuracy"]
    squared = bench.train("mlp-squared-error", "mlp-classifier", classifier="squared-error",
                          epochs=bench.pick(5, 10))
    return [
        Check("test accuracy, %", accuracy, ">=", 98),
        Check("trained on squared error for fewer epochs, %",
              100 * bench.evaluate(squared)["accuracy"], ">=", bench.pick(97, 90)),
    ]


def regularized_autoencoder(bench):
    """Codes get sparser as lambda grows, and a mostly empty code still tells digits apart."""
    weights = (0, 1e-4, 1e-3, 1e-2)
    settings = bench.pick({"epochs": 10}, {"epochs": 10})
    results = []
    for weight in weights:
        run = bench.train(f"regularized-{weight:g}", "regularized-autoencoder", code_l1=weight,
                          **settings)
        results.append(bench.evaluate(run))
    zeros = [result["zero_codes"] for result in results]
    rises = min(after - before for before, after in zip(zeros, zeros[1:], strict=False))
    sparse = [100 * result["accuracy"] for result in results if result["zero_codes"] > 0.5]
    checks = [Check(f"lambda {weight:g}: accuracy {100 * result['accuracy']:.2f} %, squared error "
                    f"{result['squared_error']:.2f}, zeros in the code, %",
                    100 * result["zero_codes"], "")
              for weight, result in zip(weights, results, strict=True)]
    checks.append(Check("smallest rise of the part of zeros from one lambda to the next", rises,
                        ">=", 1e-6))
    checks.append(Check("test accuracy where most of the code is zero, %", max(sparse, default=0),
                        ">=", bench.pick(97.5, 95)))
    return checks
