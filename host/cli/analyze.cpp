// The command analyze: what codes and classes of a trained model tell, in words or as JSON.
//
// The JSON object is described in docs/analyze.md. A part that the model has not got is left out;
// a divergence that is infinite is null, for JSON knows no infinity.
#include "host/analysis/analysis.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "host/cli/commands.hpp"

namespace elbo::cli {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const PosteriorAnalysis& posterior) {
  return {{"kl", posterior.total_kl},
          {"kl_per_dimension", posterior.kl},
          {"entropy", posterior.entropy}};
}

Json json_of(const CodeAnalysis& codes) {
  Json statistics = Json::array(), p_values = Json::array();
  for (const KolmogorovSmirnov& ks : codes.ks) {
    statistics.push_back(ks.statistic);
    p_values.push_back(ks.p_value);
  }
  Json json = {{"mean", codes.moments.mean},
               {"largest_mean", codes.largest_mean},
               {"largest_covariance_deviation", codes.largest_covariance},
               {"moment_kl", codes.moment_kl},
               {"ks_statistic", statistics},
               {"ks_p_value", p_values},
               {"largest_ks_statistic", codes.ks[codes.ks_dimension].statistic},
               {"largest_ks_p_value", codes.ks_p_value}};
  if (codes.zeros) json["zeros"] = *codes.zeros;
  return json;
}

Json json_of(const ClassAnalysis& classes) {
  Json json = {{"prediction_entropy", classes.prediction_entropy}};
  if (!classes.labels) return json;
  json["label_entropy"] = classes.labels->entropy;
  json["mutual_information"] = classes.labels->mutual_information;
  Json rows = Json::array();
  const std::vector<int64_t>& confusion = classes.labels->confusion;
  for (auto row = confusion.begin(); row != confusion.end(); row += classes.classes)
    rows.push_back(std::vector<int64_t>(row, row + classes.classes));
  json["confusion"] = rows;
  return json;
}

Json json_of(const Analysis& analysis, const std::string& split) {
  Json json = {{"split", split}, {"count", analysis.count}};
  if (analysis.posterior) json["posterior"] = json_of(*analysis.posterior);
  if (analysis.codes) json["codes"] = json_of(*analysis.codes);
  if (analysis.classes) json["classes"] = json_of(*analysis.classes);
  return json;
}

void print(const PosteriorAnalysis& posterior) {
  std::printf("q(z|x), mean over rows:\n");
  std::printf("  kl to N(0, I) %.4f nats, entropy %.4f nats\n", posterior.total_kl,
              posterior.entropy);
  // The dimensions that carry most; with more of them than fit a screen, --json has them all.
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
    std::printf("  entropy of the labels %.4f nats, of which the likeliest class tells %.4f\n",
                classes.labels->entropy, classes.labels->mutual_information);
}

void print(const Analysis& analysis, const std::string& split) {
  std::printf("%s: %lld rows\n", split.c_str(), static_cast<long long>(analysis.count));
  if (analysis.posterior) print(*analysis.posterior);
  if (analysis.codes) print(*analysis.codes);
  if (analysis.classes) print(*analysis.classes);
}

}  // namespace

void add_analyze(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "analyze", "What codes and classes tell: divergences, entropies, codes against N(0, I)");
  flags->model.add(*command);
  flags->data.add(*command);
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags] {
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(model);
    const Analysis analysis = analyze(model, data.split(flags->data.split));
    if (flags->json)
      std::printf("%s\n", json_of(analysis, flags->data.split).dump().c_str());
    else
      print(analysis, flags->data.split);
  });
}

}  // namespace elbo::cli
