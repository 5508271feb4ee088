"""Writes the golden files with which the engine's tests compare its results.

    python -m elbo_tools.golden OUT_DIR

A training case (<name>.safetensors) is a tiny VAE, one fixed batch and 20 optimizer steps:

    x [B, D], epsilon [steps, B*L, latent], initial.<parameter>             F32, inputs
    nll [B*L], kl [B], posterior_mean [B, latent], posterior_logvar,
    output [B*L, P*D], gradient.<parameter> (before clipping)               F64, at step 0
    losses [steps] (each before its update), final.<parameter>              F64

Row b*L+l of epsilon, nll and output is sample l of input b. The convolutional cases store their
outputs in F32. The metadata contains the configuration and `terms`, the number of terms in the
longest chain of sums (terms.py), which determines the tolerance of the engine's tests. A points
file (<name>_points) contains a formula and its derivatives, per element, at numerically difficult
points. A layers file (<layer>_layer) contains the layers of networks one at a time (layers.py).

All inputs are float32 values and all arithmetic is float64, so a float32 engine differs from these
files only by its own rounding. To bound that difference, the runs must be well conditioned.
`check_conditioning` rejects a run that is not:

*   Adam divides by sqrt(v) + 1e-8, and Adagrad similarly by the root of a sum. If a gradient is as
    small as its own rounding error, that error moves the parameter by a whole learning rate. So
    every bias-corrected sqrt(v) must be at least 1e-3 at every step, or exactly 0, as in a dead
    unit, whose gradient is 0 in any arithmetic.
*   ReLU, leaky ReLU and clip have kinks. No pre-activation may be within 2e-5 of one, so that
    rounding cannot move a unit to the other side.
*   The exponential turns the absolute error of its argument into the relative error of its value,
    so no pre-activation may exceed 2.
*   Gradient clipping, if a case uses it, must be active at every step. The factor is PyTorch's,
    clip_norm / (norm + 1e-6).
*   Log-variances must stay inside their clamp. The points files cover values outside it.
"""


from elbo_tools.golden.files import CASES, write_golden
from elbo_tools.golden.points import likelihood_points
from elbo_tools.golden.training import STEPS, Case, run_case

__all__ = ["CASES", "STEPS", "Case", "likelihood_points", "run_case", "write_golden"]
