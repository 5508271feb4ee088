// An analysis as pictures for people. Text is ASCII, sizes follow from what is shown.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/analysis/analysis.hpp"
#include "host/analysis/latent_views.hpp"
#include "host/io/image.hpp"

namespace elbo {

/// Bars of KL(q(z_j|x) || N(0, 1)) in nats, the largest first, active dimensions in colour.
/// `subtitle` says which rows; so for the others.
Image draw_kl(const PosteriorAnalysis& posterior, const std::string& subtitle);

/// Every row's code in the two dimensions of most importance, coloured by label [rows] where there
/// are labels. Needs two dimensions.
Image draw_codes(const LatentSpace& space, std::span<const int32_t> labels,
                 const std::string& subtitle);

/// [rows, columns] pictures with names at their left and above.
struct LabelledGrid {
  std::span<const float> pictures;
  size_t columns = 0;
  std::vector<std::string> row_names, column_names;
  std::string title, subtitle, bottom_name;
};
Image draw_grid(const LabelledGrid& grid, const Shape& sample_shape);

Image draw_traversals(const Traversals& traversals, const LatentSpace& space,
                      const Shape& sample_shape, const std::string& subtitle);
Image draw_interpolations(const Interpolations& interpolations, const Shape& sample_shape,
                          const std::string& subtitle);
Image draw_manifold(const Manifold& manifold, bool prior, const Shape& sample_shape);

/// The decoder's mean standard deviation of each element, on a logarithmic scale; elements always
/// at the floor apart. Of colour pictures, the mean over channels.
Image draw_deviations(const DecoderVariance& decoder, const Shape& sample_shape,
                      const std::string& subtitle);

}  // namespace elbo
