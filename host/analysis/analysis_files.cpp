#include "host/analysis/analysis_files.hpp"

#include <algorithm>
#include <numeric>

#include "host/analysis/analysis_json.hpp"
#include "host/analysis/latent_views.hpp"
#include "host/analysis/pictures.hpp"
#include "host/io/atomic_file.hpp"
#include "host/io/formatted.hpp"
#include "host/io/npy.hpp"
#include "host/io/png.hpp"
#include "host/train/generation.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

Shape shape_of(std::initializer_list<size_t> outer, const Shape& sample_shape) {
  Shape shape;
  for (const size_t extent : outer) shape.push_back(static_cast<int64_t>(extent));
  shape.insert(shape.end(), sample_shape.begin(), sample_shape.end());
  return shape;
}

/// Returns the labels of the split's own rows, or none.
std::vector<int32_t> labels_of(const Split& split) {
  if (split.labels.empty() || split.index.empty()) return split.labels;
  std::vector<int32_t> labels;
  labels.reserve(split.index.size());
  for (const uint32_t row : split.index) labels.push_back(split.labels[row]);
  return labels;
}

/// Writes the codes and returns their distribution.
LatentSpace write_codes(const fs::path& directory, const Model& model, const Split& split,
                        const Analysis& analysis) {
  Evaluator evaluator(model, split);
  LatentSpace space;
  space.latent = static_cast<size_t>(model.architecture.latent());
  space.prior = has_prior(model.settings);
  const Shape shape = shape_of({static_cast<size_t>(split.size()), space.latent}, {});
  if (analysis.posterior) {
    PosteriorRows q = posterior_rows(model, evaluator);
    write_npy(directory / "log_variances.npy", shape, to_floats(q.log_variance));
    space.codes = std::move(q.mean);
    space.importance = analysis.posterior->kl;
  } else {
    const std::vector<float> z = evaluator.encode(false);
    space.codes.assign(z.begin(), z.end());
    for (size_t j = 0; j < space.latent; ++j)
      space.importance.push_back(analysis.codes->moments.covariance[j * (space.latent + 1)]);
  }
  write_npy(directory / "codes.npy", shape, to_floats(space.codes));
  space.order.resize(space.latent);
  std::iota(space.order.begin(), space.order.end(), size_t{0});
  std::ranges::stable_sort(space.order, std::ranges::greater{},
                           [&](size_t j) { return space.importance[j]; });
  return space;
}

/// Returns the dimensions to traverse, and their description: the active dimensions, or a single
/// one to show that none is active.
std::pair<std::vector<size_t>, std::string> used_dimensions(const LatentSpace& space,
                                                            const Analysis& analysis) {
  if (!analysis.posterior) return {space.order, "dimensions of most variance first"};
  std::vector<size_t> used;
  for (const size_t j : space.order)
    if (!std::ranges::binary_search(analysis.posterior->inactive, j)) used.push_back(j);
  if (!used.empty()) return {used, "active dimensions, the most KL first"};
  return {{space.order.front()}, "no dimension is active; the one of most KL"};
}

void write_views(const fs::path& directory, const Model& model, const Split& split,
                 const LatentSpace& space, const Analysis& analysis) {
  const Shape& sample = model.data.sample_shape;
  const auto [dimensions, which] = used_dimensions(space, analysis);
  const Traversals along = traverse(model, space, dimensions);
  write_npy(directory / "traversals.npy",
            shape_of({along.dimensions.size(), Traversals::kColumns}, sample), along.means);
  write_png(directory / "traversals.png", draw_traversals(along, space, sample, which));
  const Interpolations between = interpolate(model, split, space);
  if (!between.from.empty()) {
    write_npy(directory / "interpolations.npy",
              shape_of({between.from.size(), Interpolations::kSteps + 2}, sample),
              between.pictures);
    write_png(
        directory / "interpolations.png",
        draw_interpolations(between, sample, "at the left, the two rows of split " + split.name));
  }
  if (space.latent != 2) return;
  const Manifold plane = decode_plane(model, space);
  write_npy(directory / "manifold.npy", shape_of({Manifold::kSide, Manifold::kSide}, sample),
            plane.means);
  write_png(directory / "manifold.png", draw_manifold(plane, space.prior, sample));
}

void write_deviations(const fs::path& directory, const Model& model, const DecoderVariance& decoder,
                      const std::string& rows) {
  const Shape& sample = model.data.sample_shape;
  std::vector<float> values = decoder.smallest;
  values.insert(values.end(), decoder.mean.begin(), decoder.mean.end());
  values.insert(values.end(), decoder.largest.begin(), decoder.largest.end());
  write_npy(directory / "deviations.npy", shape_of({3}, sample), values);
  write_png(directory / "deviations.png", draw_deviations(decoder, sample, rows));
}

}  // namespace

void write_analysis(const fs::path& directory, const Model& model, const Split& split,
                    const Analysis& analysis) {
  const std::string rows = formatted("{} rows of split {}", split.size(), split.name);
  if (analysis.posterior) write_png(directory / "kl.png", draw_kl(*analysis.posterior, rows));
  if (analysis.codes) {
    const LatentSpace space = write_codes(directory, model, split, analysis);
    if (space.latent >= 2)
      write_png(directory / "codes.png",
                draw_codes(space, labels_of(split),
                           rows + (analysis.posterior ? ", posterior means" : "")));
    if (model.architecture.has(Part::decoder))
      write_views(directory, model, split, space, analysis);
  }
  if (analysis.decoder && analysis.decoder->scope == DecoderVariance::Scope::element)
    write_deviations(directory, model, *analysis.decoder, rows);
  write_file_atomically(directory / "analysis.json", to_json(analysis, split.name, 2) + "\n");
}

}  // namespace elbo
