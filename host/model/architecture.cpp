#include "host/model/architecture.hpp"

#include "host/io/formatted.hpp"
#include "host/io/text.hpp"

namespace elbo {
namespace {

std::string joined(const std::vector<LayerSpec>& layers) {
  std::string text;
  for (const LayerSpec& layer : layers) text += describe(layer) + " ▸ ";
  return text;
}

}  // namespace

template <class T, class Make>
std::optional<T> Architecture::add_part(Part part, bool wanted, Make&& make) {
  std::optional<T> added;
  const int64_t begin = layout_.size();
  if (wanted) added.emplace(make());
  ranges_[static_cast<size_t>(part)] = {begin, layout_.size()};
  return added;
}

Architecture::Architecture(const ModelSettings& s, const DataSignature& data)
    : data_(data_map(s, data.sample_shape)),
      dim_(static_cast<int32_t>(data.dim())),
      samples_(static_cast<int32_t>(s.samples)),
      judges_codes_(s.on_codes()),
      encoder_(*add_part<Encoder>(Part::encoder, true,
                                  [&] { return Encoder(layout_, s, s, s, data_); })),
      decoder_(
          add_part<Decoder>(Part::decoder, s.decodes(),
                            [&] { return Decoder(layout_, s, s, latent(), data.sample_shape); })),
      classifier_(
          add_part<Classifier>(Part::classifier, s.classifies(),
                               [&] { return Classifier(layout_, s, s, latent(), data.classes); })),
      discriminator_(add_part<Discriminator>(Part::discriminator, s.adversarial(), [&] {
        return Discriminator(layout_, s, s,
                             judges_codes_ ? DataMap{{1, 1, latent()}, false} : data_);
      })) {}

std::vector<float> Architecture::initial_weights(uint64_t seed,
                                                 const ColumnStatistics* statistics) const {
  std::vector<float> weights(static_cast<size_t>(layout_.size()), 0.0f);
  encoder_.initialize(weights, seed);
  if (decoder_) decoder_->initialize(weights, seed, statistics);
  if (classifier_) classifier_->initialize(weights, seed);
  if (discriminator_) discriminator_->initialize(weights, seed);
  return weights;
}

std::vector<std::string> describe_composition(const ModelSettings& s, const Shape& sample_shape) {
  const FeatureMap data = data_map(s, sample_shape).map;
  std::string main = "x ▸ ";
  if (s.flip != Flip::none) main += text_of(s.flip) + " flip ▸ ";
  if (s.shift > 0) main += formatted("shift ({}) ▸ ", s.shift);
  if (s.corrupts())
    main += formatted("{} corruption ({}) ▸ ", text_of(s.corruption),
                      format_number(s.corruption_level));
  main += joined(encoder_layers(s, data));
  if (s.bottleneck == Bottleneck::none)
    main += "code";
  else
    main += formatted("{} z ({})", text_of(s.bottleneck), s.latent_dim);
  if (s.likelihood) {
    int32_t outputs = 0;
    s.likelihood->visit([&](auto l) { outputs = decltype(l)::parameters; });
    const DecoderLayers layers = decoder_layers(s, data, outputs);
    const bool dense = std::holds_alternative<DenseSpec>(layers.output);
    main += " ▸ " + joined(layers.hidden) + (dense ? "" : describe(layers.output) + " ▸ ") +
            text_of(s.likelihood);
  }
  std::vector<std::string> lines = {main};
  if (s.classifies())
    lines.push_back("z ▸ " + joined(dense_layers(s.classifier_hidden, kIdentityActivation)) +
                    "classes, " + text_of(s.classifier));
  if (!s.adversarial()) return lines;
  const std::string judge = " ▸ " + joined(discriminator_layers(s, s, data)) + "D";
  if (s.on_codes()) {
    lines.push_back("z, or a draw from N(0, I)" + judge);
    return lines;
  }
  const char* decoded =
      s.discriminator_inputs == DiscriminatorInputs::both      ? "z and of draws from N(0, I)"
      : s.discriminator_inputs == DiscriminatorInputs::samples ? "draws from N(0, I)"
                                                               : "z";
  lines.push_back(std::string("x, or decoded rows of ") + decoded + judge);
  return lines;
}

}  // namespace elbo
