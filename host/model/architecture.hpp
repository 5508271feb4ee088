// The networks of a model and the connections between them:
//
//   input ─ encoder ─▶ z ─ decoder ─▶ likelihood of x
//                      │        └─ mean ─▶ discriminator ◀─ x     (or z ─▶ discriminator ◀─ prior)
//                      └─ classifier ─▶ class
//
// Every model has an encoder; the settings determine the other networks.
#pragma once

#include <optional>

#include "host/io/shape.hpp"
#include "host/model/classifier.hpp"
#include "host/model/decoder.hpp"
#include "host/model/discriminator.hpp"
#include "host/model/encoder.hpp"
#include "host/model/model_settings.hpp"
#include "kernels/core/dtype.hpp"

namespace elbo {

/// Describes the data for which a model was built.
struct DataSignature {
  Shape sample_shape;
  DType dtype = DType::f32;
  int32_t classes = 0;  // 0 without a classifier; labels are 0 .. classes - 1

  /// Tensors have 32-bit sizes per row; a model with more elements would not fit into memory
  /// anyway.
  static constexpr int64_t kLargestDim = int64_t{1} << 28;

  int64_t dim() const { return element_count(sample_shape); }
  bool operator==(const DataSignature&) const = default;
};

/// The parts of a model that a training phase can update, in the order of the arena.
enum class Part { encoder, decoder, classifier, discriminator };
inline constexpr std::array<std::string_view, 4> kPartNames = {"encoder", "decoder", "classifier",
                                                               "discriminator"};

class Architecture {
 public:
  /// The settings must have been checked.
  Architecture(const ModelSettings& settings, const DataSignature& data);

  const ParameterLayout& layout() const { return layout_; }
  ParameterRange range(Part part) const { return ranges_[static_cast<size_t>(part)]; }
  bool has(Part part) const { return range(part).size() > 0; }

  int32_t dim() const { return dim_; }
  int32_t latent() const { return encoder_.latent(); }
  /// Monte Carlo samples of z per input.
  int32_t samples() const { return samples_; }
  /// Returns true if the discriminator reads codes instead of data.
  bool judges_codes() const { return judges_codes_; }

  const Encoder& encoder() const { return encoder_; }
  /// The other parts. The model must have the part that is requested.
  const Decoder& decoder() const { return decoder_.value(); }
  const Classifier& classifier() const { return classifier_.value(); }
  const Discriminator& discriminator() const { return discriminator_.value(); }

  /// Returns the contents of the arena before the first step. With `statistics` (of the data as the
  /// model sees them), the output of the decoder starts at the mean and variance of the data.
  std::vector<float> initial_weights(uint64_t seed, const ColumnStatistics* statistics) const;

 private:
  template <class T, class Make>
  std::optional<T> add_part(Part part, bool wanted, Make&& make);

  ParameterLayout layout_;
  std::array<ParameterRange, 4> ranges_;
  DataMap data_;
  int32_t dim_, samples_;
  bool judges_codes_;
  Encoder encoder_;
  std::optional<Decoder> decoder_;
  std::optional<Classifier> classifier_;
  std::optional<Discriminator> discriminator_;
};

/// Returns "x ▸ 512 ▸ 256 ▸ gaussian z (32) ▸ 256 ▸ 512 ▸ bernoulli", and a line for each head.
std::vector<std::string> describe_composition(const ModelSettings& settings,
                                              const Shape& sample_shape);
/// The sample shape used to describe a recipe without data.
inline const Shape kExampleShape = {32, 32, 3};

}  // namespace elbo
