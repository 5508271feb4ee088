// Output that several commands print or write.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "host/io/shape.hpp"
#include "host/model/model_settings.hpp"
#include "host/train/evaluation.hpp"

namespace elbo::cli {

/// Returns a table of the estimates in nats and bits per dimension, and a line for each other
/// quantity.
std::string describe(std::string_view split, const Evaluation& evaluation);

/// Returns the parts of a model and the phases of a training step, one line each.
std::vector<std::string> composition(const ModelSettings& settings, const Shape& sample_shape);

/// Throws ConfigError if the extension of the output file is not one of `allowed`.
void require_extension(const std::string& path, std::initializer_list<const char*> allowed);

/// Writes samples [n, sample shape] as one picture if the path ends in .png, else as .npy.
void write_samples(const std::filesystem::path& path, std::span<const float> samples,
                   const Shape& sample_shape);

/// Returns `start` and the words of `text` in lines of at most 80 columns; all lines but the first
/// are indented.
std::string wrapped(std::string start, const std::string& text, size_t indent);
std::string wrapped(std::string start, std::span<const std::string> words, size_t indent);

}  // namespace elbo::cli
