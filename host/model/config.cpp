#include "host/model/config.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "host/data/image_options.hpp"
#include "host/io/file_error.hpp"
#include "host/io/text.hpp"
#include "host/model/encoder.hpp"
#include "host/model/fitting_parts.hpp"
#include "host/model/recipe.hpp"
#include "host/model/setting_text.hpp"
#include "kernels/core/error.hpp"
#include "kernels/math/activation.hpp"
#include "kernels/math/classification.hpp"
#include "kernels/math/corruption.hpp"
#include "kernels/math/likelihood/all.hpp"
#include "kernels/math/optimizer.hpp"
#include "kernels/math/schedule.hpp"

namespace elbo {
namespace {

std::vector<std::string> setting_names() {
  std::vector<std::string> names;
  Config config;
  for_each_setting(config, [&](const char* key, auto&, const char*) { names.emplace_back(key); });
  return names;
}

void parse(std::string_view, std::string_view text, std::string& out) { out = text; }

void parse(std::string_view key, std::string_view text, int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size())
    reject_value(key, text, "a whole number");
}

void parse(std::string_view key, std::string_view text, double& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(out))
    reject_value(key, text, "a number");
}

void parse(std::string_view key, std::string_view text, bool& out) {
  if (text != "true" && text != "false") reject_value(key, text, "true or false");
  out = text == "true";
}

constexpr const char* wanted_list(int64_t) {
  return "whole numbers with commas between them, like 512,256";
}
constexpr const char* wanted_list(double) {
  return "numbers with commas between them, like 0.5,20";
}

template <class Number>
void parse(std::string_view key, std::string_view text, std::vector<Number>& out) {
  out.clear();
  while (!text.empty()) {
    const size_t comma = text.find(',');
    Number item = 0;
    std::string_view word = text.substr(0, comma);
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), item);
    if (error != std::errc{} || end != word.data() + word.size() ||
        !std::isfinite(static_cast<double>(item)))
      reject_value(key, text, wanted_list(Number()));
    out.push_back(item);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
}

void require_range(std::string_view key, double value, double low, double high,
                   std::string_view want) {
  if (value >= low && value <= high) return;
  reject_value(key, format_number(value), want);
}

void require_widths(std::string_view key, const std::vector<int64_t>& widths, double most,
                    std::string_view want) {
  constexpr size_t kMostLayers = 256;
  if (widths.size() > kMostLayers)
    reject_value(key, std::to_string(widths.size()) + " layers",
                 "at most " + std::to_string(kMostLayers));
  for (const int64_t width : widths) require_range(key, static_cast<double>(width), 1, most, want);
}

void require_choice(std::string_view key, const std::string& value,
                    const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), value) != names.end()) return;
  std::string want = "one of ";
  for (size_t i = 0; i < names.size(); ++i) want += (i == 0 ? "" : ", ") + names[i];
  reject_value(key, value, want);
}

template <class Names>
std::vector<std::string> names_in(const Names& names) {
  return {names.begin(), names.end()};
}

template <class List>
void require_member(std::string_view key, const std::string& value) {
  require_choice(key, value, names_in(List::names));
}
template <class List>
void require_member_or_none(std::string_view key, const std::string& value) {
  std::vector<std::string> names = names_in(List::names);
  names.emplace_back("none");
  require_choice(key, value, names);
}

void require_milestones(const std::vector<double>& epochs) {
  const bool ascending = std::ranges::is_sorted(epochs, std::ranges::less_equal{});
  if (ascending && epochs.size() <= math::Milestones::kMost && (epochs.empty() || epochs[0] >= 0))
    return;
  std::string got;
  for (const double epoch : epochs) got += (got.empty() ? "" : ", ") + format_number(epoch);
  reject_value("learning-rate-milestones", got,
               "at most " + std::to_string(math::Milestones::kMost) +
                   " numbers of epochs, each larger than the one before");
}

}  // namespace

void reject_value(std::string_view key, std::string_view got, std::string_view want) {
  throw ConfigError(std::string(key) + ": got " + in_quotes(got) + ", want " + std::string(want));
}

void reject_key(std::string_view key, const std::string& source) {
  throw ConfigError(in_one_line(source) + ": unknown setting " + in_quotes(key) +
                    "; did you mean '" + nearest_name(key, setting_names()) + "'?");
}

void parse_setting(std::string_view key, std::string_view text, std::vector<int64_t>& out) {
  parse(key, text, out);
}
void parse_setting(std::string_view key, std::string_view text, std::vector<double>& out) {
  parse(key, text, out);
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  name = name.substr(0, 64);  // what is longer is near to nothing, and takes its time
  std::string best;
  size_t best_distance = std::numeric_limits<size_t>::max();
  for (const std::string& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < name.size(); ++i) {
      size_t diagonal = row[0]++;
      for (size_t j = 0; j < candidate.size(); ++j) {
        const size_t substitution = diagonal + (name[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({substitution, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

void apply_setting(Config& config, std::string_view key, std::string_view value) {
  bool found = false;
  for_each_setting(config, [&](const char* name, auto& member, const char*) {
    if (key != name) return;
    parse(key, value, member);
    found = true;
  });
  if (!found) reject_key(key, "settings");
}

void validate(const Config& c) {
  constexpr double kMany = 1e9, kSteps = 1e15;
  std::vector<std::string> recipe_names;
  for (const Recipe& recipe : recipes()) recipe_names.emplace_back(recipe.name);
  require_choice("recipe", c.recipe, recipe_names);
  require_choice("network", c.network, {"dense", "conv"});
  require_widths("channels", c.channels, 1e5, "numbers of at least 1");
  require_range("kernel-size", static_cast<double>(c.kernel_size), 2, 16, "between 2 and 16");
  require_choice("downsampling", c.downsampling, {"strided", "average"});
  require_choice("upsampling", c.upsampling, {"transposed", "nearest", "bilinear"});
  require_choice("normalization", c.normalization, {"none", "group"});
  require_range("residual-blocks", static_cast<double>(c.residual_blocks), 0, 100,
                "between 0 and 100");
  require_widths("hidden", c.hidden, 1e6, "widths of at least 1");
  require_range("latent-dim", static_cast<double>(c.latent_dim), 1, 1e6, "at least 1");
  require_member<math::Activations>("activation", c.activation);
  require_choice("bottleneck", c.bottleneck, names_in(kBottleneckNames));
  require_member<math::Activations>("code-activation", c.code_activation);
  require_member_or_none<math::Likelihoods>("likelihood", c.likelihood);
  require_range("mse-variance", c.mse_variance, 1e-6, 1e6, "between 1e-6 and 1e6");
  require_choice("posterior-variance", c.posterior_variance, {"input", "shared"});
  require_range("samples", static_cast<double>(c.samples), 1, 1e5, "at least 1");
  require_member_or_none<math::ClassLosses>("classifier", c.classifier);
  require_widths("classifier-hidden", c.classifier_hidden, 1e6, "widths of at least 1");
  require_choice("discriminator", c.discriminator, {"none", "data", "code"});
  require_widths("discriminator-hidden", c.discriminator_hidden, 1e6, "widths of at least 1");
  require_member<math::Activations>("discriminator-activation", c.discriminator_activation);
  require_choice("objective", c.objective, {"elbo", "iwae"});
  require_range("reconstruction-weight", c.reconstruction_weight, 0, 1e6, "at least 0");
  require_range("beta", c.beta, 0, 1e6, "at least 0");
  require_range("kl-warmup-epochs", c.kl_warmup_epochs, 0, kMany, "at least 0");
  require_range("kl-warmup-steps", static_cast<double>(c.kl_warmup_steps), 0, kSteps, "at least 0");
  require_range("kl-cycles", static_cast<double>(c.kl_cycles), 0, kMany, "at least 0");
  require_range("kl-cycle-rise", c.kl_cycle_rise, 0, 1, "between 0 and 1");
  require_range("free-bits", c.free_bits, 0, 1e6, "at least 0");
  require_range("kl-capacity", c.kl_capacity, 0, 1e6, "at least 0");
  require_range("kl-capacity-epochs", c.kl_capacity_epochs, 0, kMany, "at least 0");
  require_range("code-l1", c.code_l1, 0, 1e6, "at least 0");
  require_range("classifier-weight", c.classifier_weight, 0, 1e6, "at least 0");
  require_range("adversarial-weight", c.adversarial_weight, 0, 1e6, "at least 0");
  require_choice("generator-loss", c.generator_loss, {"non-saturating", "saturating", "none"});
  require_choice("judged", c.judged, {"both", "samples", "reconstructions"});
  require_range("discriminator-rate", c.discriminator_rate, 1e-6, 1e6, "more than 0");
  require_range("image-size", static_cast<double>(c.image_size), 0, kLargestImageSize,
                "between 0 and " + std::to_string(kLargestImageSize));
  require_choice("image-channels", c.image_channels, names_in(kImageChannelNames));
  require_range("validation-fraction", c.validation_fraction, 0, std::nextafter(1.0, 0.0),
                "at least 0 and less than 1");
  require_choice("validation-split", c.validation_split, {"random", "last"});
  require_choice("dequantize", c.dequantize, {"uniform", "none"});
  require_choice("binarize", c.binarize, {"auto", "dynamic", "fixed", "none"});
  require_member<math::Corruptions>("corruption", c.corruption);
  require_range("corruption-level", c.corruption_level, 0, 1e3, "at least 0");
  require_choice("flip", c.flip, {"none", "horizontal"});
  require_range("crop", static_cast<double>(c.crop), 0, 1e6, "at least 0");
  require_range("epochs", static_cast<double>(c.epochs), 1, kMany, "at least 1");
  require_range("steps", static_cast<double>(c.steps), 0, kSteps, "at least 0");
  require_range("batch-size", static_cast<double>(c.batch_size), 1, 1e7, "at least 1");
  require_member<math::Optimizers>("optimizer", c.optimizer);
  require_range("learning-rate", c.learning_rate, std::numeric_limits<double>::min(), 1e6,
                "more than 0, at most 1e6");
  require_member<math::Decays>("learning-rate-schedule", c.learning_rate_schedule);
  require_range("learning-rate-floor", c.learning_rate_floor, 1e-12, 1, "more than 0, at most 1");
  require_milestones(c.learning_rate_milestones);
  require_range("learning-rate-gamma", c.learning_rate_gamma, 1e-12, 1, "more than 0, at most 1");
  require_range("learning-rate-warmup-epochs", c.learning_rate_warmup_epochs, 0, kMany,
                "at least 0");
  const double below_one = std::nextafter(1.0, 0.0);
  require_range("momentum", c.momentum, 0, below_one, "at least 0 and less than 1");
  require_range("beta1", c.beta1, 0, below_one, "at least 0 and less than 1");
  require_range("beta2", c.beta2, 0, below_one, "at least 0 and less than 1");
  require_range("epsilon", c.epsilon, 0, 1e6, "at least 0");
  require_range("weight-decay", c.weight_decay, 0, 1e6, "at least 0");
  require_range("clip-norm", c.clip_norm, 0, 1e9, "at least 0");
  require_range("second-moment-start", c.second_moment_start, 0, 1e6, "at least 0");
  require_choice("loss-reduction", c.loss_reduction, {"mean", "sum"});
  require_choice("output-init", c.output_init, {"data", "zero"});
  require_range("early-stopping", static_cast<double>(c.early_stopping), 0, kMany, "at least 0");
  require_choice("on-divergence", c.on_divergence, {"stop", "rollback"});
  require_range("seed", static_cast<double>(c.seed), 0, 9.2e18, "at least 0");
  require_choice("noise", c.noise, {"philox", "curand"});
  require_choice("precision", c.precision, {"auto", "fp32", "tf32", "bf16"});
  require_range("threads", static_cast<double>(c.threads), 0, 1024, "between 0 and 1024");
  require_range("data-window", static_cast<double>(c.data_window), 0, kMany, "at least 0");
  if (c.data_window > 0 && c.data_window < c.batch_size)
    throw ConfigError("data-window: got '" + std::to_string(c.data_window) +
                      "', want 0 or at least batch-size, which is " + std::to_string(c.batch_size));
  require_range("metrics-interval", static_cast<double>(c.metrics_interval), 0, kMany,
                "at least 0");
  require_range("report-epochs", static_cast<double>(c.report_epochs), 0, kMany, "at least 0");
  require_range("picture-count", static_cast<double>(c.picture_count), 0, 4096,
                "between 0 and 4096");
  require_range("keep", static_cast<double>(c.keep), 1, kMany, "at least 1");
  require_range("checkpoint-minutes", c.checkpoint_minutes, 0, kMany, "at least 0");
  require_range("max-minutes", c.max_minutes, 0, kMany, "at least 0");
  require_fitting_parts(c);
}

}  // namespace elbo
