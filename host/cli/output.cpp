#include "host/cli/output.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "host/data/sample_pictures.hpp"
#include "host/io/formatted.hpp"
#include "host/io/npy.hpp"
#include "host/io/png.hpp"
#include "host/model/phases.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {

std::string describe(std::string_view split, const Evaluation& e) {
  std::string text(split);
  const auto add = [&]<class... T>(fmt::format_string<T...> pattern, T&&... values) {
    text += formatted(pattern, std::forward<T>(values)...);
  };
  add(": {} rows", e.count);
  bool headed = false;
  for_each_estimate(e, [&](const char* name, const Estimate& estimate, Measure) {
    if (std::isnan(estimate.value)) return;
    const bool bits = !std::isnan(estimate.bits_per_dim);
    if (!headed)
      add("\n  {:<14} {:>21}{}", "", "nats per sample", bits ? "            bits/dim" : "");
    headed = true;
    add("\n  {:<14} {:>11.3f} ± {:>7.3f}", name, estimate.value, estimate.standard_error);
    if (bits)
      add("   {:>8.4f} ± {:.4f}", estimate.bits_per_dim, estimate.bits_per_dim_standard_error);
    if (name == std::string_view("nll"))
      add("  -log p(x) by {} importance samples", e.importance_samples);
  });
  if (!std::isnan(e.cross_entropy_floor))
    add("\n  targets are grey: a cross-entropy, not a likelihood; floor {:.2f} nats",
        e.cross_entropy_floor);
  if (!std::isnan(e.elbo.value)) add("\n  {} active units", e.active_units);
  if (!std::isnan(e.squared_error))
    add("\n  squared error {:.4f}, PSNR {:.2f} dB", e.squared_error, e.psnr);
  if (!std::isnan(e.input_psnr)) add(", of the corrupted input {:.2f} dB", e.input_psnr);
  if (!std::isnan(e.l1)) {
    add("\n  code: sum |z| {:.3f}", e.l1);
    if (!std::isnan(e.zero_codes)) add(", {:.1f} % zeros", 100.0 * e.zero_codes);
  }
  if (!std::isnan(e.accuracy))
    add("\n  accuracy {:.2f} %, classification loss {:.4f}", 100.0 * e.accuracy, e.class_loss);
  if (!std::isnan(e.gan_value))
    add("\n  V(D, G) {:.4f} (log 1/4 is -1.3863), mean D {:.3f} of real, {:.3f} of generated",
        e.gan_value, e.d_real, e.d_generated);
  return text;
}

std::vector<std::string> composition(const ModelSettings& settings, const Shape& sample_shape) {
  std::vector<std::string> lines = describe_composition(settings, sample_shape);
  for (const Phase& phase : phases_of(settings)) lines.push_back(describe(phase));
  return lines;
}

std::string wrapped(std::string start, const std::string& text, size_t indent) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return wrapped(std::move(start), words, indent);
}

std::string wrapped(std::string line, std::span<const std::string> words, size_t indent) {
  constexpr std::ptrdiff_t kWidth = 80;
  const auto columns = [](const std::string& utf8) {
    return std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; });
  };
  std::string lines;
  bool first = true;
  for (const std::string& word : words) {
    if (!first && columns(line) + 1 + columns(word) > kWidth) {
      lines += line + '\n';
      line.assign(indent, ' ');
      first = true;
    }
    line += (first ? "" : " ") + word;
    first = false;
  }
  return lines + line + '\n';
}

void require_extension(const std::string& path, std::initializer_list<const char*> allowed) {
  const std::string extension = std::filesystem::path(path).extension().string();
  std::string want;
  for (const char* each : allowed) {
    if (extension == each) return;
    want += (want.empty() ? "" : " or ") + std::string(each);
  }
  throw ConfigError("out: '" + path + "' must end in " + want);
}

void write_samples(const std::filesystem::path& path, std::span<const float> samples,
                   const Shape& sample_shape) {
  if (path.extension() == ".png") return write_png(path, tile_grid(samples, sample_shape));
  Shape shape = {static_cast<int64_t>(samples.size()) / element_count(sample_shape)};
  shape.insert(shape.end(), sample_shape.begin(), sample_shape.end());
  write_npy(path, shape, samples);
}

}  // namespace elbo::cli
