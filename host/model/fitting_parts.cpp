#include "host/model/fitting_parts.hpp"

#include "host/model/model.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

void refuse_if(bool contradiction, const std::string& one, const std::string& other,
               const std::string& advice) {
  if (contradiction) throw ConfigError(one + " does not go with " + other + ": " + advice);
}

}  // namespace

void require_fitting_parts(const Config& c) {
  const std::string bottleneck = "bottleneck " + c.bottleneck;
  const std::string likelihood = "likelihood " + c.likelihood;
  const std::string discriminator = "discriminator " + c.discriminator;
  const bool decodes = c.likelihood != "none", classifies = c.classifier != "none";
  const bool gaussian = c.bottleneck == "gaussian";

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
  refuse_if(c.code_l1 > 0.0 && c.bottleneck != "deterministic", "code-l1 " + number(c.code_l1),
            bottleneck,
            gaussian ? "a Gaussian code is never sparse; use bottleneck deterministic, or beta to "
                       "weigh its KL term"
                     : "there is no code; use bottleneck deterministic, or code-l1 0");
  refuse_if(c.samples > 1 && !gaussian, "samples " + std::to_string(c.samples), bottleneck,
            "there is one code for each input; use samples 1, or bottleneck gaussian");
  refuse_if(c.posterior_variance == "shared" && !gaussian, "posterior-variance shared", bottleneck,
            "its code has no variance; use bottleneck gaussian");
  refuse_if(c.kl_warmup_epochs > 0.0 && !gaussian, "kl-warmup-epochs " + number(c.kl_warmup_epochs),
            bottleneck,
            "there is no KL term to warm up; use bottleneck gaussian, or kl-warmup-epochs 0");
  refuse_if(c.noise == "curand" && !gaussian, "noise curand", bottleneck,
            "no code is drawn; use noise philox, or bottleneck gaussian");
  const bool probability = c.corruption != "none" && c.corruption != "gaussian";
  refuse_if(probability && c.corruption_level > 1.0,
            "corruption-level " + number(c.corruption_level), "corruption " + c.corruption,
            "it is a probability; use one between 0 and 1");
  refuse_if(c.reconstruction_weight == 0.0 && !classifies && c.discriminator == "none",
            "reconstruction-weight 0", discriminator,
            "there is nothing to learn; use a weight above 0, or discriminator data or code");
}

bool wants_unit_interval(const Config& config) {
  bool wants = false;
  math::Likelihood{math::Likelihoods::find(config.likelihood)}.visit(
      [&](auto l) { wants = decltype(l)::range == math::DataRange::unit_interval; });
  return wants;
}

void require_fitting_data(const Config& config, const Dataset& dataset) {
  const std::string where = dataset.path().string() + ": ";
  if (dataset.dtype() == DType::u8) return;
  const ValueRange range = dataset.range();
  if (range.minimum >= 0.0 && range.maximum <= 1.0) return;
  const std::string got = where + "values reach from " + std::to_string(range.minimum) + " to " +
                          std::to_string(range.maximum) + ", but ";
  const DataView view = data_view(config, dataset.dtype());
  if (wants_unit_interval(config) || view == DataView::binarized ||
      view == DataView::binarized_fixed)
    throw DataError(got + "likelihood " + config.likelihood + " with binarize " + config.binarize +
                    " wants them in [0, 1]; scale the data, or use a Gaussian likelihood");
  if (config.corruption == "salt-and-pepper")
    throw DataError(got +
                    "corruption salt-and-pepper sets elements to 0 and 1; scale the data, or "
                    "use corruption gaussian or masking");
}

}  // namespace elbo
