#include "host/model/architecture.hpp"

#include "host/io/text.hpp"

namespace elbo {
namespace {

constexpr std::string_view kNone = "none";

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

Architecture::Architecture(const Config& config, const DataSignature& data)
    : data_(data_map(config, data.sample_shape)),
      dim_(static_cast<int32_t>(data.dim())),
      samples_(static_cast<int32_t>(config.samples)),
      judged_(config.discriminator == "code" ? Judged::code : Judged::data),
      encoder_(
          *add_part<Encoder>(Part::encoder, true, [&] { return Encoder(layout_, config, data_); })),
      decoder_(
          add_part<Decoder>(Part::decoder, config.likelihood != kNone,
                            [&] { return Decoder(layout_, config, latent(), data.sample_shape); })),
      classifier_(add_part<Classifier>(
          Part::classifier, config.classifier != kNone,
          [&] { return Classifier(layout_, config, latent(), data.classes); })),
      discriminator_(
          add_part<Discriminator>(Part::discriminator, config.discriminator != kNone, [&] {
            return Discriminator(
                layout_, config,
                judged_ == Judged::code ? DataMap{{1, 1, latent()}, false} : data_);
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

std::vector<std::string> describe_composition(const Config& c, const Shape& sample_shape) {
  const FeatureMap data = data_map(c, sample_shape).map;
  std::string main = "x ▸ ";
  if (c.flip != kNone) main += c.flip + " flip ▸ ";
  if (c.crop > 0) main += "shift (" + std::to_string(c.crop) + ") ▸ ";
  if (c.corruption != kNone)
    main += c.corruption + " corruption (" + format_number(c.corruption_level) + ") ▸ ";
  main += joined(encoder_layers(c, data));
  if (c.bottleneck == kNone)
    main += "code";
  else
    main += c.bottleneck + " z (" + std::to_string(c.latent_dim) + ")";
  if (c.likelihood != kNone) {
    int32_t outputs = 0;
    math::Likelihood{math::Likelihoods::find(c.likelihood)}.visit(
        [&](auto l) { outputs = decltype(l)::parameters; });
    const DecoderLayers layers = decoder_layers(c, data, outputs);
    const bool dense = std::holds_alternative<DenseSpec>(layers.output);
    main += " ▸ " + joined(layers.hidden) + (dense ? "" : describe(layers.output) + " ▸ ") +
            c.likelihood;
  }
  std::vector<std::string> lines = {main};
  if (c.classifier != kNone)
    lines.push_back("z ▸ " + joined(dense_layers(c.classifier_hidden, kIdentityActivation)) +
                    "classes, " + c.classifier);
  if (c.discriminator == "code")
    lines.push_back("z, or a draw from N(0, I) ▸ " + joined(discriminator_layers(c, data)) + "D");
  if (c.discriminator == "data")
    lines.push_back("x, or what the decoder makes of " +
                    std::string(c.judged == "both"      ? "z and of draws from N(0, I)"
                                : c.judged == "samples" ? "draws from N(0, I)"
                                                        : "z") +
                    " ▸ " + joined(discriminator_layers(c, data)) + "D");
  return lines;
}

}  // namespace elbo
