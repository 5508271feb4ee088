// A linear VAE trained on small data of low rank reaches probabilistic PCA's closed form, computed
// here from the data's eigenvalues.
#include <algorithm>
#include <vector>

#include "tests/ppca_problem.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

using Matrix = std::vector<std::vector<double>>;

/// Eigenvalues of a symmetric matrix, largest first: cyclic Jacobi rotations.
std::vector<double> eigenvalues(Matrix a) {
  const size_t n = a.size();
  for (int sweep = 0; sweep < 20; ++sweep)
    for (size_t p = 0; p < n; ++p)
      for (size_t q = p + 1; q < n; ++q) {
        if (a[p][q] == 0.0) continue;
        const double theta = 0.5 * std::atan2(2.0 * a[p][q], a[q][q] - a[p][p]);
        const double c = std::cos(theta), s = std::sin(theta);
        for (size_t k = 0; k < n; ++k) {
          const double kp = a[k][p], kq = a[k][q];
          a[k][p] = c * kp - s * kq;
          a[k][q] = s * kp + c * kq;
        }
        for (size_t k = 0; k < n; ++k) {
          const double pk = a[p][k], qk = a[q][k];
          a[p][k] = c * pk - s * qk;
          a[q][k] = s * pk + c * qk;
        }
      }
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i) values.push_back(a[i][i]);
  std::sort(values.rbegin(), values.rend());
  return values;
}

Matrix covariance(const std::vector<float>& rows, size_t dim) {
  const size_t count = rows.size() / dim;
  std::vector<double> mean(dim);
  for (size_t i = 0; i < rows.size(); ++i) mean[i % dim] += rows[i] / static_cast<double>(count);
  Matrix matrix(dim, std::vector<double>(dim));
  for (size_t r = 0; r < count; ++r)
    for (size_t i = 0; i < dim; ++i)
      for (size_t j = 0; j < dim; ++j)
        matrix[i][j] += (rows[r * dim + i] - mean[i]) * (rows[r * dim + j] - mean[j]) /
                        static_cast<double>(count);
  return matrix;
}

PpcaOptimum closed_form(const std::vector<double>& eigenvalue, size_t latents) {
  const auto d = static_cast<double>(eigenvalue.size());
  double rest = 0.0, logs = 0.0, kl = 0.0;
  for (size_t j = latents; j < eigenvalue.size(); ++j) rest += eigenvalue[j];
  const double variance = rest / (d - static_cast<double>(latents));
  for (size_t j = 0; j < latents; ++j) {
    logs += std::log(eigenvalue[j]);
    kl += 0.5 * std::log(eigenvalue[j] / variance);
  }
  const double log_two_pi = std::log(2.0 * std::acos(-1.0));
  return {
      -0.5 * (d * log_two_pi + logs + (d - static_cast<double>(latents)) * std::log(variance) + d),
      kl};
}

TEST(Ppca, EigenvaluesOfAKnownMatrix) {
  // The second difference matrix: 2 - 2 cos(k pi / 6).
  Matrix matrix(5, std::vector<double>(5));
  for (size_t i = 0; i < 5; ++i) {
    matrix[i][i] = 2.0;
    if (i > 0) matrix[i][i - 1] = matrix[i - 1][i] = -1.0;
  }
  const std::vector<double> got = eigenvalues(matrix);
  for (size_t k = 0; k < 5; ++k)
    EXPECT_NEAR(got[k], 2.0 - 2.0 * std::cos(static_cast<double>(5 - k) * std::acos(-1.0) / 6.0),
                1e-12);
}

TEST(Ppca, LinearVaeReachesTheClosedForm) {
  constexpr size_t kRows = 512, kDim = 9, kLatents = 3;
  // Three factors of falling strength, noise, and a mean.
  const std::vector<float> mixing = uniform_floats(kLatents * kDim, -1.0f, 1.0f, 1);
  const std::vector<float> factor = uniform_floats(kRows * kLatents, -1.0f, 1.0f, 2);
  std::vector<float> rows = uniform_floats(kRows * kDim, -0.3f, 0.3f, 3);
  for (size_t r = 0; r < kRows; ++r)
    for (size_t c = 0; c < kDim; ++c) {
      rows[r * kDim + c] += 0.1f * static_cast<float>(c);
      for (size_t k = 0; k < kLatents; ++k)
        rows[r * kDim + c] +=
            factor[r * kLatents + k] * mixing[k * kDim + c] * (1.5f - 0.3f * static_cast<float>(k));
    }
  const PpcaOptimum optimum = closed_form(eigenvalues(covariance(rows, kDim)), kLatents);

  Config config = config_for_recipe("ppca");
  config.latent_dim = kLatents;
  config.steps = 5000;
  Dataset data = Dataset::from_rows(std::move(rows), {kDim}, {.validation_fraction = 0.0});
  expect_reaches(optimum, config, std::move(data), make_cpu_device(1), 1000, 0.1);
}

}  // namespace
}  // namespace elbo
