#include "host/model/fitting_parts.hpp"

#include <algorithm>

#include "host/data/sample_pictures.hpp"
#include "host/io/text.hpp"
#include "host/model/model.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

void refuse_if(bool contradiction, const std::string& one, const std::string& other,
               const std::string& advice) {
  if (contradiction) throw ConfigError(one + " does not go with " + other + ": " + advice);
}

void require_pictures(const Config& config, const Dataset& dataset) {
  if (config.flip == "none" && config.crop == 0) return;
  const std::string where = dataset.path().string() + ": ";
  const std::string setting =
      config.crop > 0 ? "crop " + std::to_string(config.crop) : "flip " + config.flip;
  const Shape& shape = dataset.sample_shape();
  if (!is_picture(shape))
    throw DataError(where + "samples have shape " + to_string(shape) + ", but " + setting +
                    " wants pictures: [height, width], or with 1 or 3 channels before or behind");
  const PictureLayout picture = picture_layout(shape);
  const int32_t side = std::min(picture.height, picture.width);
  if (config.crop >= side)
    throw DataError(where + "pictures have " + std::to_string(picture.height) + " x " +
                    std::to_string(picture.width) + " pixels, but " + setting +
                    " shifts them farther than their edges mirror; want less than " +
                    std::to_string(side));
}

}  // namespace

void require_fitting_parts(const Config& c) {
  const std::string bottleneck = "bottleneck " + c.bottleneck;
  const std::string likelihood = "likelihood " + c.likelihood;
  const std::string discriminator = "discriminator " + c.discriminator;
  const bool decodes = c.likelihood != "none", classifies = c.classifier != "none";
  const bool gaussian = c.bottleneck == "gaussian";

  const auto wants_conv = [&](bool differs, const std::string& setting) {
    refuse_if(differs && c.network == "dense", setting, "network dense",
              "it is about convolutions; use network conv");
  };
  const Config plain;
  wants_conv(!c.channels.empty(), "channels");
  wants_conv(c.kernel_size != plain.kernel_size, "kernel-size " + std::to_string(c.kernel_size));
  wants_conv(c.downsampling != plain.downsampling, "downsampling " + c.downsampling);
  wants_conv(c.upsampling != plain.upsampling, "upsampling " + c.upsampling);
  wants_conv(c.normalization != plain.normalization, "normalization " + c.normalization);
  wants_conv(c.residual_blocks != 0, "residual-blocks " + std::to_string(c.residual_blocks));
  refuse_if(!decodes && !classifies, likelihood, "classifier none",
            "there is nothing to learn; give it a likelihood or a classifier");
  refuse_if(decodes && c.bottleneck == "none", bottleneck, likelihood,
            "a decoder wants a code; use bottleneck gaussian or deterministic, or likelihood none");
  refuse_if(!decodes && gaussian, bottleneck, likelihood,
            "its KL term is part of a bound on log p(x); use bottleneck none or deterministic, or "
            "a likelihood");
  refuse_if(!decodes && c.discriminator != "none", discriminator, likelihood,
            "there is no generator; give it a likelihood, or use discriminator none");
  refuse_if(!decodes && c.corruption != "none", "corruption " + c.corruption, likelihood,
            "there is nothing to denoise; give it a likelihood, or use corruption none");
  refuse_if(c.code_l1 > 0.0 && c.bottleneck != "deterministic",
            "code-l1 " + format_number(c.code_l1), bottleneck,
            gaussian ? "a Gaussian code is never sparse; use bottleneck deterministic, or beta to "
                       "weigh its KL term"
                     : "there is no code; use bottleneck deterministic, or code-l1 0");
  refuse_if(c.samples > 1 && !gaussian, "samples " + std::to_string(c.samples), bottleneck,
            "there is one code for each input; use samples 1, or bottleneck gaussian");
  refuse_if(c.posterior_variance == "shared" && !gaussian, "posterior-variance shared", bottleneck,
            "its code has no variance; use bottleneck gaussian");
  refuse_if(c.kl_warmup_epochs > 0.0 && !gaussian,
            "kl-warmup-epochs " + format_number(c.kl_warmup_epochs), bottleneck,
            "there is no KL term to warm up; use bottleneck gaussian, or kl-warmup-epochs 0");
  const auto wants_kl = [&](double value, const std::string& name) {
    const std::string setting = name + " " + format_number(value);
    refuse_if(value > 0.0 && !gaussian, setting, bottleneck,
              "there is no KL term; use bottleneck gaussian, or " + name + " 0");
  };
  wants_kl(static_cast<double>(c.kl_warmup_steps), "kl-warmup-steps");
  wants_kl(static_cast<double>(c.kl_cycles), "kl-cycles");
  wants_kl(c.free_bits, "free-bits");
  wants_kl(c.kl_capacity, "kl-capacity");
  const bool steps = c.kl_warmup_steps > 0;
  const std::string warmup = steps ? "kl-warmup-steps " + std::to_string(c.kl_warmup_steps)
                                   : "kl-warmup-epochs " + format_number(c.kl_warmup_epochs);
  refuse_if(steps && c.kl_warmup_epochs > 0.0, warmup,
            "kl-warmup-epochs " + format_number(c.kl_warmup_epochs), "use one of them");
  refuse_if(c.kl_cycles > 0 && (steps || c.kl_warmup_epochs > 0.0),
            "kl-cycles " + std::to_string(c.kl_cycles), warmup,
            "each cycle is a warm-up of its own; use kl-cycle-rise for its length");
  refuse_if(c.kl_capacity > 0.0 && c.free_bits > 0.0, "kl-capacity " + format_number(c.kl_capacity),
            "free-bits " + format_number(c.free_bits),
            "both say what KL costs nothing; use one of them");
  refuse_if(c.kl_capacity_epochs > 0.0 && c.kl_capacity == 0.0,
            "kl-capacity-epochs " + format_number(c.kl_capacity_epochs), "kl-capacity 0",
            "there is no capacity to grow; use kl-capacity for where it ends");
  if (c.objective == "iwae") {
    const std::string iwae = "objective iwae";
    refuse_if(!gaussian, iwae, bottleneck,
              "its weights want q(z|x); use bottleneck gaussian, or objective elbo");
    const char* advice = "its bound has no KL term of its own; use beta, or objective elbo";
    refuse_if(c.free_bits > 0.0, iwae, "free-bits " + format_number(c.free_bits), advice);
    refuse_if(c.kl_capacity > 0.0, iwae, "kl-capacity " + format_number(c.kl_capacity), advice);
    refuse_if(c.reconstruction_weight != 1.0, iwae,
              "reconstruction-weight " + format_number(c.reconstruction_weight),
              "a bound on log p(x) has the likelihood once; use reconstruction-weight 1");
  }
  const bool multistep = c.learning_rate_schedule == "multistep";
  refuse_if(
      multistep == c.learning_rate_milestones.empty(),
      "learning-rate-schedule " + c.learning_rate_schedule,
      multistep ? "no learning-rate-milestones" : "learning-rate-milestones",
      multistep ? "give it the epochs at which it falls" : "use learning-rate-schedule multistep");
  refuse_if(c.second_moment_start > 0.0 && !c.optimizer.starts_with("adam"),
            "second-moment-start " + format_number(c.second_moment_start),
            "optimizer " + c.optimizer,
            "it has no second moment; use an adam, or second-moment-start 0");
  refuse_if(c.noise == "curand" && !gaussian, "noise curand", bottleneck,
            "no code is drawn; use noise philox, or bottleneck gaussian");
  const bool binarizes = c.binarize == "dynamic" || c.binarize == "fixed";
  refuse_if(binarizes && likelihood_range(c) == math::DataRange::bytes, "binarize " + c.binarize,
            likelihood,
            "it is over 8-bit values as they are; use binarize auto, or likelihood bernoulli");
  const bool probability = c.corruption != "none" && c.corruption != "gaussian";
  refuse_if(probability && c.corruption_level > 1.0,
            "corruption-level " + format_number(c.corruption_level), "corruption " + c.corruption,
            "it is a probability; use one between 0 and 1");
  refuse_if(c.reconstruction_weight == 0.0 && !classifies && c.discriminator == "none",
            "reconstruction-weight 0", discriminator,
            "there is nothing to learn; use a weight above 0, or discriminator data or code");
}

math::DataRange likelihood_range(const Config& config) {
  auto range = math::DataRange::real;
  math::Likelihood{math::Likelihoods::find(config.likelihood)}.visit(
      [&](auto l) { range = decltype(l)::range; });
  return range;
}

void require_fitting_data(const Config& config, const Dataset& dataset) {
  require_pictures(config, dataset);
  const std::string where = dataset.path().string() + ": ";
  if (dataset.dtype() == DType::u8) return;
  if (likelihood_range(config) == math::DataRange::bytes)
    throw DataError(where + "values are stored as " + name_of(dataset.dtype()) +
                    ", but likelihood " + config.likelihood +
                    " is over 8-bit ones; store them as u8, or use a Gaussian likelihood");
  const ValueRange range = dataset.range();
  if (range.minimum >= 0.0 && range.maximum <= 1.0) return;
  const std::string got = where + "values reach from " + std::to_string(range.minimum) + " to " +
                          std::to_string(range.maximum) + ", but ";
  const DataView view = data_view(config, dataset.dtype());
  if (likelihood_range(config) == math::DataRange::unit_interval || view == DataView::binarized ||
      view == DataView::binarized_fixed)
    throw DataError(got + "likelihood " + config.likelihood + " with binarize " + config.binarize +
                    " wants them in [0, 1]; scale the data, or use a Gaussian likelihood");
  if (config.corruption == "salt-and-pepper")
    throw DataError(got +
                    "corruption salt-and-pepper sets elements to 0 and 1; scale the data, or "
                    "use corruption gaussian or masking");
}

}  // namespace elbo
