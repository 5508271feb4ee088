"""Writes the golden files that the engine's tests compare themselves with.

    python -m elbo_tools.golden OUT_DIR

A training case (<name>.safetensors) is a tiny VAE, one fixed batch and 20 optimizer steps:

    x [B, D], epsilon [steps, B*L, latent], initial.<parameter>             F32, the inputs
    nll [B*L], kl [B], posterior_mean [B, latent], posterior_logvar,
    output [B*L, P*D], gradient.<parameter> (before clipping)               F64, at step 0
    losses [steps] (each before its update), final.<parameter>              F64

Row b*L+l of epsilon, nll and output is sample l of input b. The larger models of convolutions have
their outputs in F32. The configuration is in the metadata, and in `terms` how many numbers the sums
on the way add up (terms.py), from which the engine's bounds follow.
A points file (<name>_points) holds a formula and its derivatives, element by element, at awkward
places, a layers file (<layer>_layer) the layers of networks one at a time: see layers.py.

All inputs are float32 values and all arithmetic is float64, so whatever separates a float32
engine from these files is its own rounding. For a bound to follow from that, the runs are well
conditioned, and `check_conditioning` refuses one that is not:

*   Adam divides by sqrt(v) + 1e-8 (Adagrad by the root of a sum, to the same effect), so where a
    gradient is as small as its own rounding error, that error moves the parameter by a whole
    learning rate. Every bias-corrected sqrt(v) is at least 1e-3 at every step, or exactly 0, as in
    a dead unit, whose gradient is 0 in any arithmetic.
*   The kinks of ReLU, leaky ReLU and clipping: no pre-activation ever comes within 2e-5 of one,
    so that no rounding moves a unit to the other side.
*   The exponential makes its argument's absolute error its value's relative one: no pre-activation
    ever exceeds 2.
*   Clipping, where a case has it, is active at every step. The factor is PyTorch's,
    clip_norm / (norm + 1e-6).
*   Log-variances stay inside their clamp; the points files have the places outside it.
"""


from elbo_tools.golden.files import CASES, write_golden
from elbo_tools.golden.points import likelihood_points
from elbo_tools.golden.training import STEPS, Case, run_case

__all__ = ["CASES", "STEPS", "Case", "likelihood_points", "run_case", "write_golden"]
