#include "host/analysis/analysis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/analysis/checks.hpp"
#include "host/analysis/discrete.hpp"
#include "host/analysis/findings.hpp"
#include "host/analysis/gaussian.hpp"
#include "host/train/evaluator.hpp"
#include "kernels/math/posterior.hpp"

namespace elbo {
namespace {

PosteriorAnalysis analyze_posteriors(const PosteriorRows& q) {
  const size_t latent = q.latent;
  const auto rows = static_cast<double>(q.rows());
  PosteriorAnalysis result;
  result.kl.resize(latent);
  for (size_t i = 0; i < q.mean.size(); ++i)
    result.kl[i % latent] += standard_normal_kl(q.mean[i], q.log_variance[i]) / rows;
  for (const double kl : result.kl) result.total_kl += kl;
  result.entropy = entropy(DiagonalGaussian{q.mean, q.log_variance}) / rows;  // over all rows
  const Moments means = moments(q.mean, latent);
  for (size_t j = 0; j < latent; ++j) {
    result.mean_variance.push_back(means.covariance[j * (latent + 1)]);
    if (!(result.mean_variance[j] > kActiveVariance)) result.inactive.push_back(j);
  }
  return result;
}

/// Returns the moments of the mixture of all rows' q(z|x).
Moments aggregate_moments(const PosteriorRows& q) {
  const size_t latent = q.latent;
  Moments result = moments(q.mean, latent);
  const auto rows = static_cast<double>(q.rows());
  for (size_t i = 0; i < q.log_variance.size(); ++i)
    result.covariance[i % latent * (latent + 1)] += std::exp(q.log_variance[i]) / rows;
  return result;
}

double divergence_from_standard(const Moments& moments) {
  const size_t latent = moments.mean.size();
  // A distribution on a hyperplane has no density, so its divergence from N(0, I) is infinite.
  if (!is_positive_definite(moments.covariance, latent))
    return std::numeric_limits<double>::infinity();
  const std::vector<double> zero(latent);
  std::vector<double> identity(latent * latent);
  for (size_t i = 0; i < latent; ++i) identity[i * (latent + 1)] = 1.0;
  return kl_divergence(FullGaussian{moments.mean, moments.covariance},
                       FullGaussian{zero, identity});
}

/// `samples` are rows of codes; for random codes, draws.
CodeAnalysis analyze_codes(Moments moments, const std::vector<double>& samples) {
  CodeAnalysis result;
  const size_t latent = moments.mean.size();
  for (size_t i = 0; i < latent; ++i) {
    if (const double mean = std::abs(moments.mean[i]); mean > result.largest_mean)
      result.largest_mean = mean, result.mean_dimension = i;
    for (size_t j = 0; j <= i; ++j) {
      const double deviation = std::abs(moments.covariance[i * latent + j] - (i == j ? 1.0 : 0.0));
      if (deviation > result.largest_covariance) {
        result.largest_covariance = deviation;
        result.covariance_row = i, result.covariance_column = j;
      }
    }
  }
  result.moment_kl = divergence_from_standard(moments);
  result.moments = std::move(moments);
  result.ks = kolmogorov_smirnov(samples, latent);
  const auto largest = std::ranges::max_element(result.ks, {}, &KolmogorovSmirnov::statistic);
  result.ks_dimension = static_cast<size_t>(largest - result.ks.begin());
  result.ks_p_value = bonferroni(largest->p_value, latent);
  return result;
}

CodeAnalysis analyze_deterministic_codes(Evaluator& evaluator, size_t latent) {
  const std::vector<float> codes = evaluator.encode(false);
  const std::vector<double> z(codes.begin(), codes.end());
  require_rows("codes", z, latent);
  CodeAnalysis result = analyze_codes(moments(z, latent), z);
  result.zeros = static_cast<double>(std::ranges::count(z, 0.0)) / static_cast<double>(z.size());
  return result;
}

/// Counts the rows for each label (row) and most probable class (column).
std::vector<int64_t> count_confusion(const Split& split, std::span<const float> probabilities,
                                     size_t classes) {
  std::vector<int64_t> confusion(classes * classes);
  for (size_t i = 0; i < probabilities.size() / classes; ++i) {
    const auto row = probabilities.subspan(i * classes, classes);
    const auto likeliest = static_cast<size_t>(std::ranges::max_element(row) - row.begin());
    const auto label = static_cast<size_t>(split.labels[split.index.empty() ? i : split.index[i]]);
    ++confusion[label * classes + likeliest];
  }
  return confusion;
}

ClassAnalysis::Labels analyze_labels(std::vector<int64_t> confusion, size_t classes, double count) {
  ClassAnalysis::Labels result;
  std::vector<double> joint(confusion.size()), labels(classes);
  for (size_t i = 0; i < confusion.size(); ++i) {
    joint[i] = static_cast<double>(confusion[i]) / count;
    labels[i / classes] += joint[i];
  }
  result.entropy = entropy(labels);
  result.mutual_information = mutual_information(joint, classes);
  result.confusion = std::move(confusion);
  return result;
}

ClassAnalysis analyze_classes(Evaluator& evaluator, const Split& split, int32_t classes) {
  const std::vector<float> predictions = evaluator.classify();
  const std::vector<double> probabilities(predictions.begin(), predictions.end());
  const auto columns = static_cast<size_t>(classes);
  const auto count = static_cast<double>(split.size());
  ClassAnalysis result;
  result.classes = classes;
  for (size_t first = 0; first < probabilities.size(); first += columns)
    result.prediction_entropy += entropy(std::span(probabilities).subspan(first, columns)) / count;
  if (!split.labels.empty())
    result.labels = analyze_labels(count_confusion(split, predictions, columns), columns, count);
  return result;
}

}  // namespace

PosteriorRows posterior_rows(const Model& model, Evaluator& evaluator) {
  const auto latent = static_cast<size_t>(model.architecture.latent());
  const std::vector<float> both = evaluator.encode(true);
  PosteriorRows q;
  q.latent = latent;
  q.mean.reserve(both.size() / 2);
  q.log_variance.reserve(both.size() / 2);
  for (size_t i = 0; i < both.size(); ++i) {
    if (i / latent % 2 == 0)
      q.mean.push_back(both[i]);
    else
      q.log_variance.push_back(math::clamp_log_variance<double>(both[i]).value);
  }
  require_rows("means of q(z|x)", q.mean, latent);
  require_rows("log-variances of q(z|x)", q.log_variance, latent);
  return q;
}

Analysis analyze(const Model& model, const Split& split, const AnalysisOptions& options) {
  const Bottleneck bottleneck = model.architecture.encoder().bottleneck();
  if (options.factors && bottleneck != Bottleneck::gaussian)
    throw ConfigError(
        "factors: information about them needs draws of z from q(z|x); bottleneck is " +
        text_of(model.settings.bottleneck) + ", expected gaussian");
  Evaluator evaluator(model, split);
  Analysis result;
  result.count = split.size();
  switch (bottleneck) {
    case Bottleneck::gaussian: {
      const PosteriorRows q = posterior_rows(model, evaluator);
      result.posterior = analyze_posteriors(q);
      result.codes = analyze_codes(aggregate_moments(q), draw_codes(q, q.rows()).z);
      const CodeDraws draws = draw_codes(q, static_cast<size_t>(options.draws));
      result.aggregate = aggregate_posterior(q, draws, options.threads);
      if (options.factors)
        result.factors = factor_information(q, draws, options.factors->values,
                                            options.factors->columns, options.threads);
      break;
    }
    case Bottleneck::deterministic:
      result.codes =
          analyze_deterministic_codes(evaluator, static_cast<size_t>(model.architecture.latent()));
      break;
    case Bottleneck::none:  // hidden units, which are not trained to match a prior
      break;
  }
  result.decoder = decoder_variance(model, evaluator);
  if (model.architecture.has(Part::classifier))
    result.classes = analyze_classes(evaluator, split, model.data.classes);
  result.findings = findings_of(result, model.settings);
  return result;
}

}  // namespace elbo
