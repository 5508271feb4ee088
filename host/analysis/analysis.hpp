// Measures the information in a model's codes and classes, and the distance of its codes from the
// prior.
//
// Each part of an Analysis is present if the model supports it, and depends only on weights and
// data. Unless stated otherwise, values are in nats and exact over the rows of the split. Three
// parts use draws from a Gaussian bottleneck instead: the Kolmogorov-Smirnov test, the aggregate
// posterior and the information about factors.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "host/analysis/aggregate_posterior.hpp"
#include "host/analysis/decoder_variance.hpp"
#include "host/analysis/factor_information.hpp"
#include "host/analysis/sample_statistics.hpp"
#include "host/data/factors.hpp"
#include "host/model/model.hpp"

namespace elbo {

/// q(z|x) of a Gaussian bottleneck, averaged over rows. Unlike in Evaluation, rows are not
/// corrupted; without corruption total_kl equals Evaluation's kl.
struct PosteriorAnalysis {
  std::vector<double> kl;             // [latent], KL(q(z_j|x) || N(0, 1))
  double total_kl = 0.0;              // sum of kl: KL(q(z|x) || N(0, I))
  double entropy = 0.0;               // differential entropy of q(z|x); may be negative
  std::vector<double> mean_variance;  // [latent], Var_x[mu_j(x)]
  std::vector<size_t> inactive;       // ascending; mean_variance is at most kActiveVariance
};

/// The distribution of codes over the split, compared with N(0, I). For a Gaussian bottleneck it is
/// the aggregate posterior q(z) = E_x q(z|x), with mean E[mu] and covariance Cov[mu] + E[diag
/// sigma^2].
struct CodeAnalysis {
  Moments moments;
  double largest_mean = 0.0;                         // max |m_j|
  size_t mean_dimension = 0;                         // dimension of largest_mean
  double largest_covariance = 0.0;                   // max |S - I|, over all elements
  size_t covariance_row = 0, covariance_column = 0;  // indices of largest_covariance; row >= column
  double moment_kl = 0.0;             // KL(N(m, S) || N(0, I)); infinite if S is singular
  std::vector<KolmogorovSmirnov> ks;  // [latent], for codes, or for one draw from q(z|x) per row
  size_t ks_dimension = 0;            // dimension with the largest statistic
  double ks_p_value = 1.0;            // p-value of that statistic as the largest of `latent` tests
  std::optional<double> zeros;        // fraction of elements that are exactly 0, if deterministic
};

/// The predictions of the classifier, compared with the labels if the split has any.
struct ClassAnalysis {
  struct Labels {
    double entropy = 0.0;             // of the label frequencies
    double mutual_information = 0.0;  // of label and most probable class, from joint frequencies
    std::vector<int64_t> confusion;   // [classes, classes]: rows by label, most probable class
  };
  int32_t classes = 0;
  double prediction_entropy = 0.0;  // of the predicted probabilities, averaged over rows
  std::optional<Labels> labels;
};

/// An observation about the model that its user should know.
struct Finding {
  enum class Severity { note, warning };
  Severity severity = Severity::note;
  std::string text;  // sentences, one line
};

/// Returns "note" or "warning".
std::string_view name_of(Finding::Severity severity);

struct Analysis {
  int64_t count = 0;  // rows
  std::optional<PosteriorAnalysis> posterior;
  std::optional<AggregatePosterior> aggregate;  // of a Gaussian bottleneck
  std::optional<FactorInformation> factors;     // of a Gaussian bottleneck, if factors are known
  std::optional<DecoderVariance> decoder;       // if the decoder learned a variance
  std::optional<CodeAnalysis> codes;            // of a Gaussian or a deterministic bottleneck
  std::optional<ClassAnalysis> classes;
  std::vector<Finding> findings;
};

struct AnalysisOptions {
  int64_t draws = 2000;  // from q(z), at most one per row
  int threads = 0;       // for sums over rows and draws; 0: all threads. Does not change results
  std::optional<Factors> factors;  // from which the rows were generated
};

/// Throws DataError if codes or factors are not finite, the number of factor rows differs from the
/// number of rows, or a label is not one of the model's classes. Throws ConfigError if factors are
/// given and the model has no q(z|x).
Analysis analyze(const Model& model, const Split& split, const AnalysisOptions& options = {});

/// Returns q(z|x) of every row, with clamped log-variances. Throws ConfigError if the bottleneck is
/// not Gaussian, and DataError if a number is not finite.
PosteriorRows posterior_rows(const Model& model, Evaluator& evaluator);

}  // namespace elbo
