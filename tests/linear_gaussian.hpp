// A linear Gaussian model, x = W z + b + noise with z ~ N(0, I), with closed forms of the
// likelihood, the posterior, and, for any Gaussian q, the evidence lower bound and the variance of
// importance weights.
#pragma once

#include <cmath>
#include <optional>
#include <stdexcept>
#include <vector>

#include "host/analysis/gaussian.hpp"
#include "host/model/model.hpp"
#include "tests/small_training.hpp"

namespace elbo {

using Vector = std::vector<double>;
using SquareMatrix = std::vector<Vector>;

/// A symmetric positive definite matrix A = L L^T.
class Cholesky {
 public:
  explicit Cholesky(SquareMatrix a) : l_(std::move(a)) {
    for (size_t i = 0; i < l_.size(); ++i)
      for (size_t j = 0; j <= i; ++j) {
        double sum = l_[i][j];
        for (size_t k = 0; k < j; ++k) sum -= l_[i][k] * l_[j][k];
        if (i == j && !(sum > 0.0)) throw std::invalid_argument("not positive definite");
        l_[i][j] = i == j ? std::sqrt(sum) : sum / l_[j][j];
      }
  }
  double log_determinant() const {
    double sum = 0.0;
    for (size_t i = 0; i < l_.size(); ++i) sum += 2.0 * std::log(l_[i][i]);
    return sum;
  }
  Vector solve(Vector v) const {  // A^-1 v
    for (size_t i = 0; i < v.size(); ++i) {
      for (size_t k = 0; k < i; ++k) v[i] -= l_[i][k] * v[k];
      v[i] /= l_[i][i];
    }
    for (size_t i = v.size(); i-- > 0;) {
      for (size_t k = i + 1; k < v.size(); ++k) v[i] -= l_[k][i] * v[k];
      v[i] /= l_[i][i];
    }
    return v;
  }

 private:
  SquareMatrix l_;
};

inline double dot(const Vector& x, const Vector& y) {
  double sum = 0.0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

/// Its weights are floats, as in the engine; derived quantities are computed in double.
class LinearGaussian {
 public:
  static constexpr size_t kLatents = 3;  // of those made here

  /// W is [kSmallDim, kLatents]. q(z|x) has the posterior's mean plus `shift`, and the variances
  /// that a q without correlations fits best with (Bishop 2006, section 10.1.2) times `inflation`.
  LinearGaussian(std::vector<float> w, double variance, double shift, double inflation)
      : LinearGaussian(kSmallDim, kLatents) {
    w_ = std::move(w);
    log_variance_ = static_cast<float>(std::log(variance));
    const Cholesky precision(this->precision());
    for (size_t c = 0; c < dim_; ++c) {
      b_[c] = 0.4f + 0.05f * static_cast<float>(c);
      Vector column;  // of W^T / s^2
      for (size_t j = 0; j < latents_; ++j) column.push_back(at(c, j) / this->variance());
      column = precision.solve(column);
      for (size_t j = 0; j < latents_; ++j) q_weight_[j * dim_ + c] = static_cast<float>(column[j]);
    }
    for (size_t j = 0; j < latents_; ++j) {
      double mean = shift;
      for (size_t c = 0; c < dim_; ++c) mean -= double{q_weight_[j * dim_ + c]} * b_[c];
      q_mean_[j] = static_cast<float>(mean);
      q_log_variance_[j] = static_cast<float>(std::log(inflation / this->precision()[j][j]));
    }
  }

  /// The linear Gaussian model of a trained model with one log-variance for each latent.
  static LinearGaussian of(const Model& model) {
    const ParameterLayout& layout = model.architecture.layout();
    const std::vector<float> weights =
        model.arena.weights.download(0, static_cast<size_t>(layout.size()));
    LinearGaussian truth(static_cast<size_t>(model.architecture.dim()),
                         static_cast<size_t>(model.architecture.latent()));
    const auto get = [&](const char* name, std::vector<float>& to) {
      const auto from = weights.begin() + layout.find(name)->offset;
      std::copy(from, from + static_cast<std::ptrdiff_t>(to.size()), to.begin());
    };
    get("posterior.weight", truth.q_weight_);
    get("posterior.bias", truth.q_mean_);
    get("posterior.log_variance", truth.q_log_variance_);
    get("likelihood.weight", truth.w_);
    get("likelihood.bias", truth.b_);
    std::vector<float> log_variance(1);
    get("likelihood.log_variance", log_variance);
    truth.log_variance_ = log_variance[0];
    return truth;
  }

  static Config config() {
    Config config = small_config();
    config.hidden = {};
    config.latent_dim = kLatents;
    config.samples = 1;
    return config;
  }
  Model model(const Config& config = LinearGaussian::config()) const {
    Model model(config, {{kSmallDim}, DType::f32}, make_cpu_device(1), Model::Purpose::inference);
    const ParameterLayout& layout = model.architecture.layout();
    std::vector<float> weights(static_cast<size_t>(layout.size()));
    const auto set = [&](const char* name, const std::vector<float>& values, size_t from = 0) {
      std::ranges::copy(
          values, weights.begin() + layout.find(name)->offset + static_cast<std::ptrdiff_t>(from));
    };
    set("posterior.weight", q_weight_);  // behind it zeros, the log-variances'
    set("posterior.bias", q_mean_);
    set("posterior.bias", q_log_variance_, kLatents);
    set("likelihood.weight", w_);
    set("likelihood.bias", b_);
    set("likelihood.log_variance", {log_variance_});
    model.set_weights(weights);
    return model;
  }

  /// log N(x; b, W W^T + s^2 I)
  double log_likelihood(const float* x) const {
    if (!covariance_) {
      SquareMatrix covariance(dim_, Vector(dim_));
      for (size_t c = 0; c < dim_; ++c) {
        covariance[c][c] = variance();
        for (size_t d = 0; d < dim_; ++d)
          for (size_t j = 0; j < latents_; ++j) covariance[c][d] += at(c, j) * at(d, j);
      }
      covariance_.emplace(covariance);
    }
    const Vector r = residual(x, Vector(latents_));
    return -0.5 * (static_cast<double>(dim_) * kLogTwoPi + covariance_->log_determinant() +
                   dot(r, covariance_->solve(r)));
  }

  /// Of q(z|x) if the encoder has read `input`.
  double elbo(const float* x, const float* input) const {
    const Vector mean = q_mean(input);
    const Vector r = residual(x, mean);
    double squares = dot(r, r), kl = 0.0;
    for (size_t j = 0; j < latents_; ++j) {
      for (size_t c = 0; c < dim_; ++c)
        squares += std::exp(q_log_variance_[j]) * at(c, j) * at(c, j);
      kl += standard_normal_kl(mean[j], q_log_variance_[j]);
    }
    return -0.5 * (static_cast<double>(dim_) * (kLogTwoPi + log_variance_) + squares / variance()) -
           kl;
  }

  /// Of log p(x|z) for z ~ q(z|x). With z's noise n it is g n - n M n / 2 and a constant: its
  /// variance is |g|^2 + tr(M^2) / 2.
  double reconstruction_variance(const float* x, const float* input) const {
    const Vector r = residual(x, q_mean(input));
    SquareMatrix p = precision();
    double sum = 0.0;
    for (size_t j = 0; j < latents_; ++j) {
      double g = 0.0;
      for (size_t c = 0; c < dim_; ++c) g += at(c, j) * r[c] / variance();
      sum += g * g * std::exp(q_log_variance_[j]);
      p[j][j] -= 1.0;
      for (size_t i = 0; i < latents_; ++i)
        sum += 0.5 * p[j][i] * p[j][i] *
               std::exp(double{q_log_variance_[j]} + double{q_log_variance_[i]});
    }
    return sum;
  }

  /// The sum of the magnitudes of the terms of log p(x|z) p(z) / q(z|x), at q's mean.
  double magnitude(const float* x) const {
    const Vector mean = q_mean(x), r = residual(x, mean);
    double sum = 0.5 * (static_cast<double>(dim_) * (kLogTwoPi + std::abs(log_variance_)) +
                        dot(r, r) / variance());
    for (size_t j = 0; j < latents_; ++j)
      sum += 0.5 * (mean[j] * mean[j] + std::abs(q_log_variance_[j])) + 1.0;
    return sum;
  }

  /// Var(w) / p(x)^2 of weights w = p(x, z) / q(z), z ~ q: the integral of p(z|x)^2 / q(z), less 1.
  /// With the precisions P of p(z|x) and Q of q, N = 2 P - Q and the distance d of their means it
  /// is |P| |Q|^-1/2 |N|^-1/2 exp((d^T Q d + d^T Q N^-1 Q d) / 2).
  double weight_variance(const float* x, const float* input) const {
    const SquareMatrix p = precision();
    SquareMatrix n = p;
    const Cholesky factor(p);
    Vector pull(latents_);  // W^T (x - b) / s^2
    const Vector r = residual(x, Vector(latents_));
    for (size_t j = 0; j < latents_; ++j)
      for (size_t c = 0; c < dim_; ++c) pull[j] += at(c, j) * r[c] / variance();
    const Vector mean = factor.solve(pull), q = q_mean(input);
    double log_q = 0.0;
    Vector distance, weighed;
    for (size_t j = 0; j < latents_; ++j) {
      const double precision = std::exp(-double{q_log_variance_[j]});
      log_q -= q_log_variance_[j];
      for (size_t i = 0; i < latents_; ++i) n[j][i] *= 2.0;
      n[j][j] -= precision;
      distance.push_back(q[j] - mean[j]);
      weighed.push_back(precision * distance[j]);
    }
    const Cholesky rest(n);
    return std::exp(factor.log_determinant() - 0.5 * (log_q + rest.log_determinant()) +
                    0.5 * (dot(distance, weighed) + dot(weighed, rest.solve(weighed)))) -
           1.0;
  }

 private:
  LinearGaussian(size_t dim, size_t latents)
      : dim_(dim),
        latents_(latents),
        w_(dim * latents),
        b_(dim),
        q_weight_(latents * dim),
        q_mean_(latents),
        q_log_variance_(latents) {}

  static constexpr double kLogTwoPi = 1.83787706640934548356;

  double at(size_t c, size_t j) const { return w_[c * latents_ + j]; }
  double variance() const { return std::exp(double{log_variance_}); }
  SquareMatrix precision() const {  // of p(z|x): I + W^T W / s^2
    SquareMatrix p(latents_, Vector(latents_));
    for (size_t j = 0; j < latents_; ++j) {
      p[j][j] = 1.0;
      for (size_t i = 0; i < latents_; ++i)
        for (size_t c = 0; c < dim_; ++c) p[j][i] += at(c, j) * at(c, i) / variance();
    }
    return p;
  }
  Vector residual(const float* x, const Vector& z) const {  // x - b - W z
    Vector r;
    for (size_t c = 0; c < dim_; ++c) {
      r.push_back(double{x[c]} - b_[c]);
      for (size_t j = 0; j < latents_; ++j) r[c] -= at(c, j) * z[j];
    }
    return r;
  }
  Vector q_mean(const float* input) const {
    Vector mean;
    for (size_t j = 0; j < latents_; ++j) {
      mean.push_back(q_mean_[j]);
      for (size_t c = 0; c < dim_; ++c) mean[j] += double{q_weight_[j * dim_ + c]} * input[c];
    }
    return mean;
  }

  size_t dim_, latents_;
  std::vector<float> w_, b_;  // W is [dim, latents]
  float log_variance_ = 0.0f;
  std::vector<float> q_weight_, q_mean_, q_log_variance_;
  mutable std::optional<Cholesky> covariance_;  // of x, made when first asked for
};

}  // namespace elbo
