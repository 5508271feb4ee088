#include "host/analysis/analysis_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace elbo {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const PosteriorAnalysis& posterior) {
  return {{"kl", posterior.total_kl},
          {"kl_per_dimension", posterior.kl},
          {"entropy", posterior.entropy},
          {"mean_variance", posterior.mean_variance},
          {"active_units", posterior.kl.size() - posterior.inactive.size()},
          {"inactive", posterior.inactive}};
}

Json json_of(const AggregatePosterior& aggregate) {
  return {{"draws", aggregate.draws},
          {"mutual_information", aggregate.mutual_information.value},
          {"mutual_information_standard_error", aggregate.mutual_information.standard_error},
          {"log_count", aggregate.log_rows},
          {"saturated", is_saturated(aggregate)},
          {"prior_kl", aggregate.prior_kl.value},
          {"prior_kl_standard_error", aggregate.prior_kl.standard_error},
          {"total_correlation", aggregate.total_correlation.value},
          {"total_correlation_standard_error", aggregate.total_correlation.standard_error},
          {"mutual_information_per_dimension", aggregate.dimension_information},
          {"prior_kl_per_dimension", aggregate.dimension_kl}};
}

/// Converts a matrix [outer, inner] to an array of rows.
template <class T>
Json nested(const std::vector<T>& values, size_t inner) {
  Json rows = Json::array();
  for (auto row = values.begin(); row != values.end(); row += static_cast<int64_t>(inner))
    rows.push_back(std::vector<T>(row, row + static_cast<int64_t>(inner)));
  return rows;
}

Json json_of(const FactorInformation& factors) {
  return {{"bins", factors.bins},
          {"entropy", factors.entropy},
          {"mutual_information", nested(factors.information, factors.factors)},
          {"normalized_mutual_information", nested(factors.normalized, factors.factors)},
          {"likeliest_dimension", factors.likeliest_latent},
          {"gap", factors.gap},
          {"mutual_information_gap", factors.mean_gap}};
}

Json json_of(const DecoderVariance& decoder) {
  Json json = {{"smallest_deviation", std::ranges::min(decoder.smallest)},
               {"mean_deviation", decoder.total_mean},
               {"largest_deviation", std::ranges::max(decoder.largest)},
               {"floor_deviation", smallest_deviation()},
               {"floor_part", decoder.total_floor_part},
               {"elements_always_at_floor", decoder.always_at_floor}};
  if (decoder.scope == DecoderVariance::Scope::channel) json["channel_deviations"] = decoder.mean;
  return json;
}

Json json_of(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings)
    list.push_back({{"severity", name_of(finding.severity)}, {"text", finding.text}});
  return list;
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
  json["confusion"] = nested(classes.labels->confusion, static_cast<size_t>(classes.classes));
  return json;
}

}  // namespace

std::string to_json(const Analysis& analysis, const std::string& split, int indent) {
  Json json = {{"split", split}, {"count", analysis.count}};
  if (analysis.posterior) json["posterior"] = json_of(*analysis.posterior);
  if (analysis.aggregate) json["aggregate"] = json_of(*analysis.aggregate);
  if (analysis.codes) json["codes"] = json_of(*analysis.codes);
  if (analysis.factors) json["factors"] = json_of(*analysis.factors);
  if (analysis.decoder) json["decoder"] = json_of(*analysis.decoder);
  if (analysis.classes) json["classes"] = json_of(*analysis.classes);
  json["findings"] = json_of(analysis.findings);
  return json.dump(indent);
}

}  // namespace elbo
