// Rows of the ops of convolutional networks other than matrix products: group normalisation,
// resampling and swapped axes, on feature maps of a model of 32x32x3 pictures and, on a GPU only,
// of a model of 64x64x3 pictures.
#include "bench/op_rows.hpp"

namespace elbo::bench {
namespace {

constexpr int32_t kBatch = 128, kGroups = 8;
constexpr auto kRelu = math::Activation::of<math::Relu>();

struct Map {
  FeatureMap map;
  Format format = Format::f32;
  bool cuda_only = false;

  int64_t elements() const { return int64_t{kBatch} * map.size(); }
  std::string text() const {
    return std::to_string(map.height) + "x" + std::to_string(map.width) + "x" +
           std::to_string(map.channels) + "/B=" + std::to_string(kBatch) +
           (format == Format::bf16 ? "/bf16" : "");
  }
};
constexpr Map kMaps[] = {{{16, 16, 32}},
                         {{4, 4, 128}},
                         {{32, 32, 32}, Format::f32, true},
                         {{32, 32, 32}, Format::bf16, true},
                         {{8, 8, 128}, Format::bf16, true}};

void add(Rows& rows, const Map& m, std::string_view op, std::string_view variant, auto make) {
  Row row = memory_row(op, variant, m.text(), [m, make](Workspace& w) { return make(w, m); });
  if (m.cuda_only) row.only = DeviceKind::cuda;
  rows.push_back(std::move(row));
}

/// Returns the resampling by two between `m`, its fine grid, and a map of half that size.
ResampleShape halved(const Map& m, math::Resampling resampling) {
  return {resampling, {m.map.height / 2, m.map.width / 2, m.map.channels}, m.map, 2};
}
int64_t elements(const FeatureMap& map) { return int64_t{kBatch} * map.size(); }

}  // namespace

template <>
void add_rows<ResampleForward>(Rows& rows) {
  math::Resamplings::for_each([&](auto member) {
    using R = decltype(member);
    for (const Map& map : kMaps)
      add(rows, map, ResampleForward::name, R::name, [](Workspace& w, const Map& m) {
        const ResampleShape shape = halved(m, math::Resampling::of<R>());
        return ResampleForward{.rows = {w.state(kBatch), kBatch},
                               .shape = shape,
                               .x = w.uniforms(m.format, elements(shape.in()), 0.0f, 1.0f),
                               .y = w.zeros(m.format, elements(shape.out()))};
      });
  });
}

template <>
void add_rows<ResampleBackward>(Rows& rows) {
  math::Resamplings::for_each([&](auto member) {
    using R = decltype(member);
    for (const Map& map : kMaps)
      add(rows, map, ResampleBackward::name, R::name, [](Workspace& w, const Map& m) {
        const ResampleShape shape = halved(m, math::Resampling::of<R>());
        return ResampleBackward{.rows = {w.state(kBatch), kBatch},
                                .shape = shape,
                                .activation = kRelu,
                                .grad_y = w.uniforms(m.format, elements(shape.out()), -1.0f, 1.0f),
                                .saved = w.uniforms(m.format, elements(shape.in()), -0.5f, 0.9f),
                                .grad_x = w.zeros(m.format, elements(shape.in()))};
      });
  });
}

template <>
void add_rows<GroupNormForward>(Rows& rows) {
  for (const Map& map : kMaps)
    add(rows, map, GroupNormForward::name, kRelu.name(), [](Workspace& w, const Map& m) {
      return GroupNormForward{.rows = {w.state(kBatch), kBatch},
                              .map = m.map,
                              .groups = kGroups,
                              .activation = kRelu,
                              .x = w.uniforms(m.format, m.elements(), 0.0f, 1.0f),
                              .scale = w.uniforms(m.map.channels, 0.5f, 1.5f),
                              .offset = w.uniforms(m.map.channels, -0.5f, 0.5f),
                              .y = w.zeros(m.format, m.elements()),
                              .preactivation = {},
                              .mean = w.zeros(kBatch * kGroups),
                              .rstd = w.zeros(kBatch * kGroups)};
    });
}

template <>
void add_rows<GroupNormBackward>(Rows& rows) {
  for (const Map& map : kMaps)
    add(rows, map, GroupNormBackward::name, kRelu.name(), [](Workspace& w, const Map& m) {
      return GroupNormBackward{.rows = {w.state(kBatch), kBatch},
                               .map = m.map,
                               .groups = kGroups,
                               .activation = kRelu,
                               .grad_y = w.uniforms(m.format, m.elements(), -1.0f, 1.0f),
                               .x = w.uniforms(m.format, m.elements(), 0.0f, 1.0f),
                               .scale = w.uniforms(m.map.channels, 0.5f, 1.5f),
                               .mean = w.uniforms(kBatch * kGroups, 0.4f, 0.6f),
                               .rstd = w.uniforms(kBatch * kGroups, 3.0f, 4.0f),
                               .saved = w.uniforms(m.format, m.elements(), -0.5f, 0.9f),
                               .grad_x = w.zeros(m.format, m.elements()),
                               .grad_scale = w.zeros(int64_t{kBatch} * m.map.channels),
                               .grad_offset = w.zeros(int64_t{kBatch} * m.map.channels)};
    });
}

/// Converts pictures from planes to channels last, and back.
template <>
void add_rows<SwapAxes>(Rows& rows) {
  for (const int32_t width : {32, 64})
    for (const bool to_channels : {true, false})
      for (const Format format : {Format::f32, Format::bf16}) {
        const int32_t pixels = width * width, first = to_channels ? 3 : pixels;
        const bool bf16 = format == Format::bf16;
        Row row = memory_row(SwapAxes::name, to_channels ? "to-channels" : "to-planes",
                             std::to_string(width) + "x" + std::to_string(width) +
                                 "x3/B=" + std::to_string(kBatch) + (bf16 ? "/bf16" : ""),
                             [=](Workspace& w) {
                               const int64_t count = int64_t{kBatch} * 3 * pixels;
                               return SwapAxes{.rows = {w.state(kBatch), kBatch},
                                               .first = first,
                                               .second = 3 * pixels / first,
                                               .inner = 1,
                                               .x = w.uniforms(count, 0.0f, 1.0f),
                                               .y = w.zeros(format, count)};
                             });
        if (bf16 || width == 64) row.only = DeviceKind::cuda;
        rows.push_back(std::move(row));
      }
}

}  // namespace elbo::bench
