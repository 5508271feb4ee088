// The command analyze: diagnoses the codes and classes of a trained model, as text or JSON, and as
// files.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <sstream>

#include "host/analysis/analysis_files.hpp"
#include "host/analysis/analysis_json.hpp"
#include "host/cli/commands.hpp"
#include "host/io/new_directory.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

/// Prints `text` in lines of at most 80 columns, the first after `start`.
void print_wrapped(const std::string& start, const std::string& text) {
  constexpr size_t kColumns = 80;
  std::istringstream words(text);
  std::string line = start;
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kColumns) {
      std::printf("%s\n", line.c_str());
      line = " ";
    }
    line += " " + word;
  }
  std::printf("%s\n", line.c_str());
}

void print(const PosteriorAnalysis& posterior) {
  std::printf("q(z|x), mean over rows:\n");
  std::printf("  kl to N(0, I) %.4f nats, entropy %.4f nats\n", posterior.total_kl,
              posterior.entropy);
  std::printf("  %zu of %zu units active: variance of mu over rows above %g\n",
              posterior.kl.size() - posterior.inactive.size(), posterior.kl.size(),
              kActiveVariance);
  // Prints the dimensions with the largest KL; --json contains all of them.
  constexpr size_t kShown = 32, kPerLine = 4;
  std::vector<size_t> order(posterior.kl.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](size_t j) { return posterior.kl[j]; });
  std::printf("  kl by dimension, in nats, largest first:\n");
  const size_t shown = std::min(kShown, order.size());
  double rest = posterior.total_kl;
  for (size_t i = 0; i < shown; ++i) {
    rest -= posterior.kl[order[i]];
    std::printf("    z%-4zu%8.4f%s", order[i], posterior.kl[order[i]],
                i % kPerLine == kPerLine - 1 || i + 1 == shown ? "\n" : "");
  }
  if (shown < order.size())
    std::printf("    and %zu more, together %.4f\n", order.size() - shown, std::max(rest, 0.0));
}

void print(const AggregatePosterior& aggregate) {
  const auto line = [](const char* name, const MonteCarloEstimate& estimate) {
    const double value = std::abs(estimate.value) < 5e-5 ? 0.0 : estimate.value;  // no -0.0000
    std::printf("  %-44s%9.4f ± %.4f nats\n", name, value, estimate.standard_error);
  };
  std::printf("kl is made of, by %zu draws from q(z):\n", aggregate.draws);
  line("I(x; z), information of z about the row", aggregate.mutual_information);
  line("KL(q(z) || N(0, I)), z of all rows", aggregate.prior_kl);
  line("  of which dependence between dimensions", aggregate.total_correlation);
}

void print(const FactorInformation& factors) {
  std::printf("known factors, and the dimension most informative about each:\n");
  for (size_t k = 0; k < factors.factors; ++k) {
    if (!(factors.entropy[k] > 0.0)) {
      std::printf("  factor %-3zu never changes\n", k);
      continue;
    }
    const size_t best = factors.likeliest_latent[k];
    std::printf("  factor %-3zu z%-4zu%.4f of %.4f nats (%d bins), gap %.4f of it\n", k, best,
                factors.information[best * factors.factors + k], factors.entropy[k],
                factors.bins[k], factors.gap[k]);
  }
  if (!std::isnan(factors.mean_gap))
    std::printf("  mutual information gap %.4f, mean over factors\n", factors.mean_gap);
}

void print(const DecoderVariance& decoder) {
  using Scope = DecoderVariance::Scope;
  std::printf("decoder's standard deviation%s:\n",
              decoder.scope == Scope::all       ? ", the same for all elements"
              : decoder.scope == Scope::channel ? ", one for each channel"
                                                : " at z = mu");
  if (decoder.scope == Scope::channel)
    for (size_t channel = 0; channel < decoder.mean.size(); ++channel)
      std::printf("  channel %zu: %.4g\n", channel, decoder.mean[channel]);
  std::printf("  smallest %.4g, mean %.4g, largest %.4g\n", std::ranges::min(decoder.smallest),
              decoder.total_mean, std::ranges::max(decoder.largest));
  std::printf("  %.2f %% at the floor of %.3g, %zu %s always\n", 100.0 * decoder.total_floor_part,
              smallest_deviation(), decoder.always_at_floor.size(),
              decoder.scope == Scope::channel ? "channels" : "elements");
}

void print(const CodeAnalysis& codes) {
  std::printf("z over all rows, against N(0, I):\n");
  std::printf("  largest |mean| %.4f (z%zu), largest |covariance - I| %.4f (z%zu, z%zu)\n",
              codes.largest_mean, codes.mean_dimension, codes.largest_covariance,
              codes.covariance_row, codes.covariance_column);
  std::printf("  kl of the Gaussian with these moments %.4f nats\n", codes.moment_kl);
  std::printf("  Kolmogorov-Smirnov: largest statistic %.4f (z%zu), p %.3g (Bonferroni, %zu)\n",
              codes.ks[codes.ks_dimension].statistic, codes.ks_dimension, codes.ks_p_value,
              codes.ks.size());
  if (codes.zeros) std::printf("  %.2f %% of elements are exactly 0\n", 100.0 * *codes.zeros);
}

void print(const ClassAnalysis& classes) {
  std::printf("classes:\n");
  std::printf("  entropy of a prediction %.4f nats, mean over rows\n", classes.prediction_entropy);
  if (classes.labels)
    std::printf("  entropy of the labels %.4f nats; the predicted class explains %.4f\n",
                classes.labels->entropy, classes.labels->mutual_information);
}

void print(const Analysis& analysis, const std::string& split) {
  std::printf("%s: %lld rows\n", split.c_str(), static_cast<long long>(analysis.count));
  if (analysis.posterior) print(*analysis.posterior);
  if (analysis.aggregate) print(*analysis.aggregate);
  if (analysis.codes) print(*analysis.codes);
  if (analysis.factors) print(*analysis.factors);
  if (analysis.decoder) print(*analysis.decoder);
  if (analysis.classes) print(*analysis.classes);
  for (const Finding& finding : analysis.findings)
    print_wrapped(std::string(name_of(finding.severity)) + ":", finding.text);
}

}  // namespace

void add_analyze(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    std::string factors, out;
    int64_t draws = AnalysisOptions{}.draws;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "analyze",
      "Diagnose the latent space: KL per dimension, mutual information, posterior collapse");
  flags->model.add(*command);
  flags->data.add(*command);
  add_value(*command, "--draws", "N", flags->draws, AtLeast{1},
            "number of rows to estimate information from, with one posterior sample each");
  add_value(*command, "--factors", "FILE", flags->factors, NotEmpty{},
            ".npy file of known factors [rows, factors] (default: "
            "{train,validation,test}-factors.npy of the data set, if present)");
  add_value(*command, "--out", "DIR", flags->out, NotEmpty{},
            "new directory for the results: analysis.json, codes and pictures as .npy and .png "
            "(see docs/analyze.md)");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags] {
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(flags->model, model);
    const Split& split = data.split(flags->data.split);
    AnalysisOptions options;
    options.draws = flags->draws;
    options.threads = static_cast<int>(flags->model.device.threads);
    if (!flags->factors.empty())
      options.factors = read_factors(flags->factors, split);
    else if (model.architecture.encoder().gaussian())
      options.factors = find_factors(data, split);
    if (!flags->out.empty()) make_new_directory(flags->out);
    const Analysis analysis = analyze(model, split, options);
    if (!flags->out.empty()) write_analysis(flags->out, model, split, analysis);
    if (flags->json)
      std::printf("%s\n", to_json(analysis, split.name).c_str());
    else
      print(analysis, split.name);
  });
}

}  // namespace elbo::cli
