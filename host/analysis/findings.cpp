#include "host/analysis/findings.hpp"

#include <algorithm>
#include <cmath>

#include "host/io/formatted.hpp"
#include "host/train/evaluation.hpp"

namespace elbo {
namespace {

std::string join(const std::vector<std::string>& items, const char* last) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i)
    text += (i == 0 ? "" : i + 1 == items.size() ? last : ", ") + items[i];
  return text;
}

/// Returns "z1, z4 and z7"; lists at most 8 names and the number of the others.
std::string name_dimensions(const std::vector<size_t>& dimensions) {
  constexpr size_t kNamed = 8;
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(kNamed, dimensions.size()); ++i)
    names.push_back("z" + std::to_string(dimensions[i]));
  if (dimensions.size() > kNamed)
    names.push_back(std::to_string(dimensions.size() - kNamed) + " more");
  return join(names, " and ");
}

/// Returns settings that make more units active; those whose current value prevents it come first.
std::vector<std::string> remedies_for_unused_units(const ModelSettings& settings) {
  std::vector<std::string> remedies;
  if (settings.beta > 1.0)
    remedies.push_back(formatted("a smaller --beta than {:g}", settings.beta));
  if (settings.kl_warmup_epochs == 0.0)
    remedies.push_back("--kl-warmup-epochs (z is used before it costs)");
  remedies.push_back("--free-bits (some of it costs nothing)");
  remedies.push_back("--objective iwae --samples 5 (a tighter bound)");
  if (settings.output_init != OutputInit::data)
    remedies.push_back("--output-init data (only differences are left to learn)");
  remedies.push_back("more --epochs");
  return remedies;
}

Finding collapse(const Analysis& analysis, const ModelSettings& settings) {
  const size_t latent = analysis.posterior->kl.size();
  std::string text = formatted(
      "the posterior has collapsed: of {} units none is active (variance over rows of mu above "
      "{:g}), and z says almost nothing of x: kl {:.3g} nats, I(x; z) {:.3g}. ",
      latent, kActiveVariance, analysis.posterior->total_kl,
      std::max(0.0, analysis.aggregate->mutual_information.value));
  return {Finding::Severity::warning,
          text + "Likely remedies: " + join(remedies_for_unused_units(settings), ", or ") + "."};
}

Finding unused_units(const Analysis& analysis, const ModelSettings& settings) {
  const PosteriorAnalysis& posterior = *analysis.posterior;
  double carried = 0.0;
  for (const size_t j : posterior.inactive) carried += posterior.kl[j];
  std::string text = formatted(
      "{} of {} units are inactive: {}. They carry {:.3g} of {:.4g} nats of kl. That is "
      "harmless if the elbo is good: a smaller --latent-dim would suffice. Otherwise these can "
      "activate them: ",
      posterior.inactive.size(), posterior.kl.size(), name_dimensions(posterior.inactive), carried,
      posterior.total_kl);
  return {Finding::Severity::note, text + join(remedies_for_unused_units(settings), ", or ") + "."};
}

Finding saturation(const AggregatePosterior& aggregate) {
  return {
      Finding::Severity::note,
      formatted("I(x; z) is within log 2 of log {:.0f} = {:.3f} nats, the most that so many rows "
                "can show: of more rows it would be larger, and KL(q(z) || p(z)) smaller.",
                std::exp(aggregate.log_rows), aggregate.log_rows)};
}

Finding variance_at_floor(const DecoderVariance& decoder, const ModelSettings& settings) {
  const double deviation = smallest_deviation();
  const char* noise =
      settings.dequantize == Dequantization::none ? ", or --dequantize uniform for 8-bit data" : "";
  const size_t always = decoder.always_at_floor.size();
  if (decoder.scope != DecoderVariance::Scope::element) {
    const std::string where = decoder.scope == DecoderVariance::Scope::all
                                  ? ""
                                  : formatted(" in {} of {} channels", always, decoder.mean.size());
    return {Finding::Severity::warning,
            formatted("the decoder's variance is at its floor{}, standard deviation {:.2g}: the "
                      "density of data that are reproduced exactly is unbounded. Use --likelihood "
                      "mse{}.",
                      where, deviation, noise)};
  }
  const std::string where =
      always == 0 ? "" : formatted("; {} of {} elements always", always, decoder.mean.size());
  return {
      Finding::Severity::warning,
      formatted("the decoder's variance is at its floor, standard deviation {:.2g}, for {:.2g} % "
                "of all elements{}. These are constant pixels or nearly so: their density is "
                "unbounded, and the elbo is dominated by them. Use --likelihood gaussian-shared "
                "or mse{}.",
                deviation, 100.0 * decoder.total_floor_part, where, noise)};
}

}  // namespace

std::string_view name_of(Finding::Severity severity) {
  return severity == Finding::Severity::warning ? "warning" : "note";
}

std::vector<Finding> findings_of(const Analysis& analysis, const ModelSettings& settings) {
  std::vector<Finding> findings;
  const bool collapsed =
      analysis.posterior && analysis.posterior->inactive.size() == analysis.posterior->kl.size();
  if (collapsed) findings.push_back(collapse(analysis, settings));
  if (analysis.decoder && analysis.decoder->total_floor_part > 0.0)
    findings.push_back(variance_at_floor(*analysis.decoder, settings));
  if (analysis.posterior && !collapsed && !analysis.posterior->inactive.empty())
    findings.push_back(unused_units(analysis, settings));
  if (analysis.aggregate && is_saturated(*analysis.aggregate))
    findings.push_back(saturation(*analysis.aggregate));
  return findings;
}

}  // namespace elbo
