// How much a model's codes and classes tell, and how far its codes are from the prior.
//
// Each part of an Analysis is there where the model has what it needs, and is a function of weights
// and data alone. Everything is in nats unless it says otherwise, and is exact over the rows of the
// split but for what wants draws of a Gaussian bottleneck's codes: the test of Kolmogorov and
// Smirnov, the aggregate posterior's information and the factors'.
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

/// q(z|x) of a Gaussian bottleneck, averaged over rows. Rows are not corrupted, unlike those of
/// Evaluation; without corruption the sum of `kl` is Evaluation's kl.
struct PosteriorAnalysis {
  std::vector<double> kl;             // [latent], KL(q(z_j|x) || N(0, 1))
  double total_kl = 0.0;              // their sum, KL(q(z|x) || N(0, I))
  double entropy = 0.0;               // of q(z|x), differential: may be negative
  std::vector<double> mean_variance;  // [latent], Var_x[mu_j(x)]
  std::vector<size_t> inactive;       // where that is no more than kActiveVariance, ascending
};

/// The distribution of codes over the split against N(0, I). Of a Gaussian bottleneck that is the
/// aggregate posterior q(z) = E_x q(z|x), with mean E[mu] and covariance Cov[mu] + E[diag sigma^2].
struct CodeAnalysis {
  Moments moments;
  double largest_mean = 0.0;                         // max |m_j|
  size_t mean_dimension = 0;                         // where that is
  double largest_covariance = 0.0;                   // max |S - I|, over all elements
  size_t covariance_row = 0, covariance_column = 0;  // where that is; row >= column
  double moment_kl = 0.0;             // KL(N(m, S) || N(0, I)); infinite where S is singular
  std::vector<KolmogorovSmirnov> ks;  // [latent], of codes, or of one draw from each row's q(z|x)
  size_t ks_dimension = 0;            // the largest statistic's
  double ks_p_value = 1.0;            // that statistic's, as the largest of `latent`
  std::optional<double> zeros;        // the part of elements that is exactly 0, if deterministic
};

/// What the classifier says of rows, and of the labels where the split has any.
struct ClassAnalysis {
  struct Labels {
    double entropy = 0.0;             // of the labels' frequencies
    double mutual_information = 0.0;  // of label and likeliest class, of their joint frequencies
    std::vector<int64_t> confusion;   // [classes, classes]: rows with this label, this likeliest
  };
  int32_t classes = 0;
  double prediction_entropy = 0.0;  // of the predicted probabilities, averaged over rows
  std::optional<Labels> labels;
};

/// Something that somebody who trains models would want to be told.
struct Finding {
  enum class Severity { note, warning };
  Severity severity = Severity::note;
  std::string text;  // sentences, one line
};

/// "note" or "warning".
std::string_view name_of(Finding::Severity severity);

struct Analysis {
  int64_t count = 0;  // rows
  std::optional<PosteriorAnalysis> posterior;
  std::optional<AggregatePosterior> aggregate;  // of a Gaussian bottleneck
  std::optional<FactorInformation> factors;     // of a Gaussian bottleneck, where they are known
  std::optional<DecoderVariance> decoder;       // where the decoder has learned a variance
  std::optional<CodeAnalysis> codes;            // of a Gaussian or a deterministic bottleneck
  std::optional<ClassAnalysis> classes;
  std::vector<Finding> findings;
};

struct AnalysisOptions {
  int64_t draws = 2000;  // of q(z), at most one for each row
  int threads = 0;       // for sums over rows and draws; 0: all there are. Changes no result
  std::optional<Factors> factors;  // that the rows were generated from
};

/// Throws DataError where codes or factors are not finite, factors are not as many as rows, or a
/// label is none of the model's classes; ConfigError if there are factors and no q(z|x).
Analysis analyze(const Model& model, const Split& split, const AnalysisOptions& options = {});

/// q(z|x) of every row, log-variances as clamped. Throws ConfigError if the bottleneck is not
/// Gaussian, DataError if a number is not finite.
PosteriorRows posterior_rows(const Model& model, Evaluator& evaluator);

}  // namespace elbo
