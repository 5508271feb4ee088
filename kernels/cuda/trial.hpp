// Measures products on the GPU: the kernel and all candidates of a library.
#pragma once

#include <memory>

#include "kernels/cuda/product_choice.hpp"
#include "kernels/cuda/stream.hpp"

namespace elbo::cuda {

std::unique_ptr<ProductTrials> make_trials(Stream stream);

/// Keeps the current GPU busy for about 50 ms, once per process and GPU: an idle GPU runs at a
/// fifth of its clock rate and needs that long to raise it.
void warm_up(Stream stream);

}  // namespace elbo::cuda
