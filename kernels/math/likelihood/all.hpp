// The list of likelihoods. A new one is a file beside this, included and listed here; the kernels,
// the tests, the benchmark rows, --help and `elbo list` follow from the list.
#pragma once

#include "kernels/math/likelihood/bernoulli.hpp"
#include "kernels/math/likelihood/discretized_logistic.hpp"
#include "kernels/math/likelihood/gaussian.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

template <LikelihoodFormula... Members>
struct LikelihoodList : List<Members...> {};

using Likelihoods =
    LikelihoodList<Gaussian, GaussianShared, GaussianChannel, Mse, Bernoulli, DiscretizedLogistic>;
using Likelihood = Choice<Likelihoods>;

}  // namespace elbo::math
