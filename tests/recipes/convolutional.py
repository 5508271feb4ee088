"""Convolutional models against dense ones of equal latent size after as many epochs."""

from adversarial import samples_like_digits
from workbench import Check


def against_dense(bench, recipe, epochs, **settings):
    common = {"likelihood": "bernoulli", "latent_dim": bench.pick(32, 16), "epochs": epochs}
    dense = bench.evaluate(bench.train(f"{recipe}-dense", "vae", **common))
    conv = bench.evaluate(bench.train(recipe, recipe, **common, **settings))
    return [
        Check(f"{name}: kl {result['kl']:.2f}, elbo in nats per test picture", result["elbo"], "")
        for name, result in ((f"vae, {epochs} epochs", dense), (recipe, conv))
    ] + [Check("above the dense vae, nats", conv["elbo"] - dense["elbo"], ">=", 0)]


def conv_vae(bench):
    """A better bound than the dense network's."""
    return against_dense(bench, "conv-vae", bench.pick(10, 4))


def resnet_vae(bench):
    """The same of residual blocks."""
    return against_dense(bench, "resnet-vae", bench.pick(5, 4),
                         **({"channels": "16,32"} if bench.quick else {}))


def conv_vae_gan(bench):
    """Samples look more often like one digit than those of the same model without discriminator."""
    return samples_like_digits(bench, "conv-vae-gan", bench.pick(8, 6))
