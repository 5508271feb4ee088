// The list of likelihoods. A new likelihood is a file in this folder, included and listed here;
// kernels, tests, benchmark rows, --help and `elbo list` derive from the list.
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
