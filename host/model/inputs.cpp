#include "host/model/inputs.hpp"

#include <algorithm>

#include "host/data/sample_pictures.hpp"
#include "host/io/formatted.hpp"

namespace elbo {
namespace {

void check_pictures(const InputSettings& s, const Dataset& dataset) {
  if (s.flip == Flip::none && s.shift == 0) return;
  const std::string where = dataset.path().string() + ": ";
  const std::string setting = s.shift > 0 ? said(s, s.shift) : said(s, s.flip);
  const Shape& shape = dataset.sample_shape();
  if (!is_picture(shape))
    throw DataError(where + "samples have shape " + to_string(shape) + ", but " + setting +
                    " needs pictures: [height, width], or with 1 or 3 channels before or after");
  const PictureLayout picture = picture_layout(shape);
  const int32_t side = std::min(picture.height, picture.width);
  if (s.shift >= side)
    throw DataError(
        formatted("{}pictures have {} x {} pixels, but {} shifts them farther than their "
                  "edges mirror; expected less than {}",
                  where, picture.height, picture.width, setting, side));
}

}  // namespace

DataView InputSettings::view(const LikelihoodSettings& likelihood, DType dtype) const {
  const math::DataRange range = likelihood.range();
  Binarization how = binarize;
  if (how == Binarization::automatic)
    how = range == math::DataRange::unit_interval ? Binarization::dynamic : Binarization::none;
  if (how == Binarization::dynamic) return DataView::binarized;
  if (how == Binarization::fixed) return DataView::binarized_fixed;
  const bool dequantizes = dtype == DType::u8 && dequantize == Dequantization::uniform &&
                           likelihood.decodes() && range == math::DataRange::real;
  return dequantizes ? DataView::dequantized : DataView::raw;
}

void InputSettings::check(Combination& c, const LikelihoodSettings& l) const {
  const std::string& likelihood = c.said(l.likelihood);
  c.refuse_if(!l.decodes() && corrupts(), c.said(corruption), likelihood,
              "there is nothing to denoise; use a likelihood, or corruption none");
  const bool binarizes = binarize == Binarization::dynamic || binarize == Binarization::fixed;
  c.refuse_if(binarizes && l.range() == math::DataRange::bytes, c.said(binarize), likelihood,
              "it is over 8-bit values as they are; use binarize auto, or likelihood bernoulli");
  const bool probability =
      corrupts() && corruption != math::Corruption::of<math::GaussianCorruption>();
  c.refuse_if(probability && corruption_level > 1.0, c.said(corruption_level), c.said(corruption),
              "it is a probability; use one between 0 and 1");
  c.idle_unless(corrupts(), "with " + c.said(corruption), corruption_level);
  const bool by_default = l.decodes() && l.range() == math::DataRange::unit_interval;
  c.idle_unless(binarizes || by_default, "with " + likelihood, binarize);
}

void InputSettings::check(Combination& c, const LikelihoodSettings& l, DType dtype) const {
  c.idle_unless(l.decodes() && l.range() == math::DataRange::real, "with " + c.said(l.likelihood),
                dequantize);
  const bool binarized = binarize == Binarization::dynamic || binarize == Binarization::fixed;
  c.idle_unless(!binarized, "with " + c.said(binarize), dequantize);
  c.idle_unless(dtype == DType::u8,
                std::string("on values stored as ") + name_of(dtype) + "; it is for 8-bit data",
                dequantize);
}

void InputSettings::check(const LikelihoodSettings& l, const Dataset& dataset) const {
  check_pictures(*this, dataset);
  const std::string where = dataset.path().string() + ": ";
  if (dataset.dtype() == DType::u8) return;
  if (l.range() == math::DataRange::bytes)
    throw DataError(where + "values are stored as " + name_of(dataset.dtype()) + ", but " +
                    said(l, l.likelihood) +
                    " is over 8-bit values; store them as u8, or use a Gaussian likelihood");
  const ValueRange range = dataset.range();
  if (range.minimum >= 0.0 && range.maximum <= 1.0) return;
  const std::string got =
      formatted("{}values reach from {:f} to {:f}, but ", where, range.minimum, range.maximum);
  const DataView seen = view(l, dataset.dtype());
  if (l.range() == math::DataRange::unit_interval || seen == DataView::binarized ||
      seen == DataView::binarized_fixed)
    throw DataError(got + said(l, l.likelihood) + " with " + said(*this, binarize) +
                    " needs them in [0, 1]; scale the data, or use a Gaussian likelihood");
  if (corruption == math::Corruption::of<math::SaltAndPepper>())
    throw DataError(got + said(*this, corruption) +
                    " sets elements to 0 and 1; scale the data, or use corruption gaussian or "
                    "masking");
}

}  // namespace elbo
