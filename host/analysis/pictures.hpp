// Draws an analysis. Text is ASCII; the size of a picture depends on its content.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/analysis/analysis.hpp"
#include "host/analysis/latent_views.hpp"
#include "host/io/image.hpp"

namespace elbo {

/// Draws bars of KL(q(z_j|x) || N(0, 1)) in nats, in descending order, active dimensions in colour.
/// Here and below, `subtitle` describes the rows.
Image draw_kl(const PosteriorAnalysis& posterior, const std::string& subtitle);

/// Draws every row's code in the two most important dimensions, coloured by label [rows] if there
/// are labels. Requires at least two dimensions.
Image draw_codes(const LatentSpace& space, std::span<const int32_t> labels,
                 const std::string& subtitle);

/// [rows, columns] pictures with row names at the left and column names above.
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

/// Draws the decoder's mean standard deviation of each element, on a logarithmic scale. Elements
/// that are always at the floor have their own colour. For colour pictures, averages over channels.
Image draw_deviations(const DecoderVariance& decoder, const Shape& sample_shape,
                      const std::string& subtitle);

}  // namespace elbo
