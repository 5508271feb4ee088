// A model's networks and what connects them:
//
//   input ─ encoder ─▶ z ─ decoder ─▶ likelihood of x
//                      │        └─ mean ─▶ discriminator ◀─ x     (or z ─▶ discriminator ◀─ prior)
//                      └─ classifier ─▶ class
//
// Encoders are always there; the settings say which of the others are.
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

/// What a model was made for.
struct DataSignature {
  Shape sample_shape;
  DType dtype = DType::f32;
  int32_t classes = 0;  // where it has a classifier: labels are 0 .. classes - 1

  /// Tensor sizes are 32-bit per row; a model of more elements would not fit memory anyway.
  static constexpr int64_t kLargestDim = int64_t{1} << 28;

  int64_t dim() const { return element_count(sample_shape); }
  bool operator==(const DataSignature&) const = default;
};

/// The parts of a model that a phase of training can change, in the arena's order.
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
  /// Whether the discriminator judges codes, not data.
  bool judges_codes() const { return judges_codes_; }

  const Encoder& encoder() const { return encoder_; }
  /// The other parts; they must be there.
  const Decoder& decoder() const { return decoder_.value(); }
  const Classifier& classifier() const { return classifier_.value(); }
  const Discriminator& discriminator() const { return discriminator_.value(); }

  /// The arena's image before the first step. With `statistics` (of the data as the model sees
  /// it), a decoder's output starts at the data's mean and variance.
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

/// "x ▸ 512 ▸ 256 ▸ gaussian z (32) ▸ 256 ▸ 512 ▸ bernoulli", and a line for each head.
std::vector<std::string> describe_composition(const ModelSettings& settings,
                                              const Shape& sample_shape);
/// What a recipe is described on where there are no data.
inline const Shape kExampleShape = {32, 32, 3};

}  // namespace elbo
