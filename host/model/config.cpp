#include "host/model/config.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "host/data/image_options.hpp"
#include "host/io/file_error.hpp"
#include "host/io/mapped_file.hpp"
#include "host/model/encoder.hpp"
#include "host/model/fitting_parts.hpp"
#include "host/model/recipe.hpp"
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

[[noreturn]] void reject_value(std::string_view key, std::string_view got, std::string_view want) {
  throw ConfigError(std::string(key) + ": got " + in_quotes(got) + ", want " + std::string(want));
}

[[noreturn]] void reject_key(std::string_view key, const std::string& source) {
  throw ConfigError(in_one_line(source) + ": unknown setting " + in_quotes(key) +
                    "; did you mean '" + nearest_name(key, setting_names()) + "'?");
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

// Other letters than ASCII's, outside of strings and in those of several lines, are undefined
// behaviour to toml++ up to 3.4 (its issues 190 and 295). It gets none to see: each byte of one is
// "%" and two digits. That also lets paths through that are not UTF-8.
std::string in_ascii(std::string_view text) {
  std::string ascii;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && c != '%') {
      ascii += c;
    } else {
      constexpr char kDigits[] = "0123456789ABCDEF";
      ascii += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return ascii;
}
std::string from_ascii(std::string_view ascii) {
  std::string text;
  for (size_t i = 0; i < ascii.size(); ++i) {
    int byte = 0;
    const char* digits = ascii.data() + i + 1;
    if (ascii[i] == '%' && i + 2 < ascii.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      text += static_cast<char>(byte);
      i += 2;
    } else {
      text += ascii[i];
    }
  }
  return text;
}

std::string string_in(const toml::node& node) { return from_ascii(**node.as_string()); }

// Not by toml++'s formatter, which up to 3.4 loses a line's end at the start of a string and is
// undefined for numbers below one in long arrays; and not to a stream, which keeps it to itself
// where there is no memory left to write to.
void write(std::string& out, std::string_view value) {
  out += '"';
  for (const char c : value) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    if ((c >= 0 && c < ' ') || c == '\x7f') {
      out += {'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]};
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  out += '"';
}
void write(std::string& out, int64_t value) { out += std::to_string(value); }
void write(std::string& out, bool value) { out += value ? "true" : "false"; }
void write(std::string& out, double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  const std::string_view digits(text, static_cast<size_t>(end - text));
  out += digits;
  if (digits.find_first_of(".en") == std::string_view::npos) out += ".0";
}
void write(std::string& out, const toml::node& node);
template <class Values>
void write_list(std::string& out, const Values& values) {
  out += '[';
  const char* separator = "";
  for (const auto& value : values) {
    out += std::exchange(separator, ", ");
    write(out, value);
  }
  out += ']';
}
template <class Number>
void write(std::string& out, const std::vector<Number>& values) {
  write_list(out, values);
}
/// A value of any kind, for messages.
void write(std::string& out, const toml::node& node) {
  node.visit([&](const auto& value) {
    if constexpr (toml::is_table<decltype(value)>)
      out += "a table";
    else if constexpr (toml::is_chronological<decltype(value)>)
      out += "a date or time";
    else if constexpr (toml::is_array<decltype(value)>)
      write_list(out, value);
    else if constexpr (toml::is_string<decltype(value)>)
      write(out, from_ascii(*value));
    else
      write(out, *value);
  });
}
template <class T>
std::string written(const T& value) {
  std::string text;
  write(text, value);
  return text;
}

void assign(std::string_view key, const toml::node& node, std::string& out) {
  if (!node.is_string()) reject_value(key, written(node), "a string in quotes");
  out = string_in(node);
}
void assign(std::string_view key, const toml::node& node, int64_t& out) {
  if (!node.is_integer()) reject_value(key, written(node), "a whole number");
  out = **node.as_integer();
}
void assign(std::string_view key, const toml::node& node, double& out) {
  if (!node.is_number()) reject_value(key, written(node), "a number");
  out = *node.value<double>();
  if (!std::isfinite(out)) reject_value(key, written(node), "a finite number");
}
void assign(std::string_view key, const toml::node& node, bool& out) {
  if (!node.is_boolean()) reject_value(key, written(node), "true or false, without quotes");
  out = **node.as_boolean();
}
void assign(std::string_view key, const toml::node& node, std::vector<double>& out) {
  if (node.is_string()) return parse(key, string_in(node), out);
  const toml::array* array = node.as_array();
  if (array == nullptr) reject_value(key, written(node), "an array of numbers, like [0.5, 20]");
  out.clear();
  for (const toml::node& item : *array) assign(key, item, out.emplace_back());
}
void assign(std::string_view key, const toml::node& node, std::vector<int64_t>& out) {
  if (node.is_string()) return parse(key, string_in(node), out);
  const toml::array* array = node.as_array();
  if (array == nullptr || !array->is_homogeneous(toml::node_type::integer)) {
    if (array == nullptr || !array->empty())
      reject_value(key, written(node), "an array of whole numbers, like [512, 256]");
  }
  out.clear();
  for (const toml::node& item : *array) out.push_back(**item.as_integer());
}

void require_range(std::string_view key, double value, double low, double high,
                   std::string_view want) {
  if (value >= low && value <= high) return;
  char got[32];
  std::snprintf(got, sizeof got, "%g", value);
  reject_value(key, got, want);
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
  reject_value("learning-rate-milestones", written(epochs),
               "at most " + std::to_string(math::Milestones::kMost) +
                   " numbers of epochs, each larger than the one before");
}

}  // namespace

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

std::string to_toml(const Config& config) {
  std::string out;
  for_each_setting(config, [&](const char* key, const auto& value, const char*) {
    out += std::string(key) + " = ";
    write(out, value);
    out += '\n';
  });
  return out;
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

void apply_toml(Config& config, std::string_view text, const std::string& source) {
  // Every setting takes a tenth of it. The parser takes nested tables apart by recursion, which a
  // stack stands for some ten times as many as fit in here.
  constexpr size_t kLongest = 1 << 14;
  if (text.size() > kLongest)
    throw ConfigError(in_one_line(source) + ": " + std::to_string(text.size()) +
                      " bytes of settings, want at most " + std::to_string(kLongest));
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a mark of the byte order
  toml::table table;
  try {
    table = toml::parse(in_ascii(text));
  } catch (const toml::parse_error& error) {
    throw ConfigError(in_one_line(source + ":" + std::to_string(error.source().begin.line) + ": " +
                                  std::string(error.description())));
  }
  if (const toml::node* recipe = table.get("recipe")) {
    std::string name;
    assign("recipe", *recipe, name);
    config = config_for_recipe(name);
  }
  for (const auto& [ascii, node] : table) {
    const std::string key = from_ascii(ascii.str());
    bool found = false;
    for_each_setting(config, [&, &node = node](const char* name, auto& member, const char*) {
      if (key != name) return;
      assign(key, node, member);
      found = true;
    });
    if (!found) reject_key(key, source);
  }
}

void apply_toml_file(Config& config, const std::filesystem::path& path) {
  std::optional<MappedFile> file;
  try {
    file.emplace(path);
  } catch (const DataError& error) {
    throw ConfigError(std::string("config: ") + error.what());
  }
  const std::span<const std::byte> bytes = file->bytes();
  apply_toml(config, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
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
