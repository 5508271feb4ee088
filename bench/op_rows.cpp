// Rows of the element-wise ops and reductions, each at the size of a batch of 128, at about 16 M
// elements, which exceed a CPU's cache, and, on a GPU, at about 64 M elements.
#include <algorithm>

#include "bench/op_rows.hpp"

namespace elbo::bench {

template <>
void add_rows<RandomFill>(Rows& rows) {
  const std::pair<Distribution, std::string_view> distributions[] = {
      {Distribution::bits, "bits"},
      {Distribution::uniform, "uniform"},
      {Distribution::normal, "normal"}};
  for (const auto& [distribution, variant] : distributions)
    for (const int64_t count : {int64_t{128 * 32}, kLarge, kHuge})
      add(rows, count,
          memory_row(RandomFill::name, variant, std::to_string(count),
                     [distribution = distribution, count](Workspace& w) {
                       return RandomFill{.distribution = distribution,
                                         .seed = 1,
                                         .count = count,
                                         .out = w.integers(count)};
                     }));
}

template <>
void add_rows<PermutationFill>(Rows& rows) {
  for (const uint32_t count : {60000u, static_cast<uint32_t>(kLarge)})
    rows.push_back(memory_row(PermutationFill::name, "", std::to_string(count), [=](Workspace& w) {
      return PermutationFill{
          .seed = 1, .epoch = 1, .domain = count, .count = count, .out = w.integers(count)};
    }));
}

template <>
void add_rows<GatherBatch>(Rows& rows) {
  // An epoch must contain at least one batch.
  const auto data_rows = [](int32_t batch) { return std::max(60000u, uint32_t(batch)); };
  const std::pair<DataView, std::string_view> views[] = {
      {DataView::raw, "u8-raw"},
      {DataView::dequantized, "u8-dequantized"},
      {DataView::binarized, "u8-binarized"},
      {DataView::binarized_fixed, "u8-binarized-fixed"}};
  for (const auto& [view, variant] : views)
    for (const int32_t batch : kBatches)
      add(rows, int64_t{batch} * kColumns,
          memory_row(GatherBatch::name, variant, sizes(batch, kColumns),
                     [view = view, batch, data = data_rows(batch)](Workspace& w) {
                       return GatherBatch{.rows = w.bytes(int64_t{data} * kColumns),
                                          .dtype = DType::u8,
                                          .count = data,
                                          .columns = kColumns,
                                          .shuffle = true,
                                          .view = view,
                                          .seed = 1,
                                          .batch = {w.state(batch), batch},
                                          .x = w.zeros(int64_t{batch} * kColumns),
                                          .row_ids = w.integers(batch)};
                     }));
  for (const int32_t batch : kBatches)
    add(rows, int64_t{batch} * kColumns,
        memory_row(GatherBatch::name, "f32-raw", sizes(batch, kColumns),
                   [batch, data = data_rows(batch)](Workspace& w) {
                     return GatherBatch{.rows = w.uniforms(int64_t{data} * kColumns, 0.0f, 1.0f),
                                        .dtype = DType::f32,
                                        .count = data,
                                        .columns = kColumns,
                                        .shuffle = true,
                                        .batch = {w.state(batch), batch},
                                        .x = w.zeros(int64_t{batch} * kColumns),
                                        .row_ids = w.integers(batch)};
                   }));
  constexpr int32_t kSide = 28;
  static_assert(kSide * kSide == kColumns);
  for (const int32_t batch : kBatches)
    add(rows, int64_t{batch} * kColumns,
        memory_row(GatherBatch::name, "u8-flip-shift", sizes(batch, kColumns),
                   [batch, data = data_rows(batch)](Workspace& w) {
                     return GatherBatch{.rows = w.bytes(int64_t{data} * kColumns),
                                        .dtype = DType::u8,
                                        .count = data,
                                        .columns = kColumns,
                                        .shuffle = true,
                                        .seed = 1,
                                        .picture = {kSide, kSide, 1, kSide, 1, kColumns},
                                        .augmentation = {.flip = true, .shift = 4},
                                        .batch = {w.state(batch), batch},
                                        .x = w.zeros(int64_t{batch} * kColumns),
                                        .row_ids = w.integers(batch)};
                   }));
  // For a denoising autoencoder: writes the corrupted input beside the clean target.
  math::Corruptions::for_each([&](auto member) {
    using C = decltype(member);
    if (std::is_same_v<C, math::NoCorruption>) return;
    for (const int32_t batch : kBatches)
      add(rows, int64_t{batch} * kColumns,
          memory_row(GatherBatch::name, "u8-" + std::string(C::name), sizes(batch, kColumns),
                     [batch, data = data_rows(batch)](Workspace& w) {
                       const int64_t elements = int64_t{batch} * kColumns;
                       return GatherBatch{.rows = w.bytes(int64_t{data} * kColumns),
                                          .dtype = DType::u8,
                                          .count = data,
                                          .columns = kColumns,
                                          .shuffle = true,
                                          .seed = 1,
                                          .corruption = math::Corruption::of<C>(),
                                          .corruption_level = 0.3f,
                                          .batch = {w.state(batch), batch},
                                          .x = w.zeros(elements),
                                          .input = w.zeros(elements),
                                          .row_ids = w.integers(batch)};
                     }));
  });
  constexpr int32_t kWindow = 2 * 21504;  // a multiple of both batch sizes
  for (const int32_t batch : {128, 21504})
    add(rows, int64_t{batch} * kColumns,
        memory_row(GatherBatch::name, "u8-raw-window", sizes(batch, kColumns),
                   [batch](Workspace& w) {
                     return GatherBatch{.rows = w.bytes(2 * int64_t{kWindow} * kColumns),
                                        .dtype = DType::u8,
                                        .index = w.counting(2 * kWindow, 1),
                                        .count = 60000,
                                        .window = kWindow,
                                        .columns = kColumns,
                                        .shuffle = true,
                                        .seed = 1,
                                        .batch = {w.state(batch), batch},
                                        .x = w.zeros(int64_t{batch} * kColumns),
                                        .row_ids = w.integers(batch)};
                   }));
}

namespace {

/// Returns mu and logvar of a batch, side by side in each row, as the encoder's head stores them.
PosteriorView posterior(Workspace& w, int32_t inputs, int32_t latent) {
  const float* head = w.uniforms(2 * int64_t{inputs} * latent, -2.0f, 2.0f);
  return {head, head + latent, 2 * latent, 2 * latent};
}

struct LatentSize {
  int32_t inputs, samples, latent;
  int64_t elements() const { return int64_t{inputs} * samples * latent; }
  std::string text() const {
    return sizes(inputs, latent) + (samples == 1 ? "" : "/samples=" + std::to_string(samples));
  }
};
constexpr LatentSize kLatentSizes[] = {
    {128, 1, 20}, {20, 50, 50}, {kLarge / 32, 1, 32}, {kHuge / 32, 1, 32}};

/// Samples from the posteriors.
LatentForward draws(Workspace& w, const LatentSize& s) {
  return {.inputs = {w.state(s.inputs), s.inputs},
          .samples = s.samples,
          .latent = s.latent,
          .posterior = posterior(w, s.inputs, s.latent),
          .epsilon = {.seed = 1, .row_ids = w.counting(s.inputs)},
          .z = w.zeros(s.elements())};
}

/// Samples from the prior: all inputs share one mu and one logvar of zeros, without a KL term.
LatentForward prior(Workspace& w, const LatentSize& s) {
  const float* zeros = w.zeros(s.latent);
  return {
      .inputs = {w.state(s.inputs), s.inputs},
      .samples = s.samples,
      .latent = s.latent,
      .posterior = {zeros, zeros, 0, 0},
      .epsilon = {.seed = 1, .row_ids = w.counting(s.inputs), .stream = math::NoiseStream::prior},
      .z = w.zeros(s.elements())};
}

}  // namespace

template <>
void add_rows<LatentForward>(Rows& rows) {
  for (const LatentSize& s : kLatentSizes)
    add(rows, s.elements(), memory_row(LatentForward::name, "", s.text(), [s](Workspace& w) {
          LatentForward op = draws(w, s);
          op.kl = w.zeros(s.inputs);
          return op;
        }));
  for (const LatentSize& s : kLatentSizes)
    add(rows, s.elements(), memory_row(LatentForward::name, "prior", s.text(), [s](Workspace& w) {
          return prior(w, s);
        }));
  for (const LatentSize& s : kLatentSizes)
    add(rows, s.elements(),
        memory_row(LatentForward::name, "importance", s.text(), [s](Workspace& w) {
          LatentForward op = draws(w, s);
          op.log_ratio = w.zeros(int64_t{s.inputs} * s.samples);
          return op;
        }));
}

template <>
void add_rows<KlWeights>(Rows& rows) {
  for (const LatentSize& s : kLatentSizes)
    add(rows, int64_t{s.inputs} * s.latent,
        memory_row(KlWeights::name, "", sizes(s.inputs, s.latent), [s](Workspace& w) {
          return KlWeights{.inputs = {w.state(s.inputs), s.inputs},
                           .latent = s.latent,
                           .posterior = posterior(w, s.inputs, s.latent),
                           .free_bits = 0.5f,
                           .weight = w.zeros(s.latent)};
        }));
}

template <>
void add_rows<LatentBackward>(Rows& rows) {
  for (const bool importance : {false, true})
    for (const LatentSize& s : kLatentSizes)
      add(rows, s.elements(),
          memory_row(LatentBackward::name, importance ? "importance" : "", s.text(),
                     [s, importance](Workspace& w) {
                       float* grad_head = w.zeros(2 * int64_t{s.inputs} * s.latent);
                       const int64_t samples = int64_t{s.inputs} * s.samples;
                       return LatentBackward{
                           .inputs = {w.state(s.inputs), s.inputs},
                           .samples = s.samples,
                           .latent = s.latent,
                           .posterior = posterior(w, s.inputs, s.latent),
                           .epsilon = {.seed = 1, .row_ids = w.counting(s.inputs)},
                           .importance = importance ? w.uniforms(samples, 0.0f, 2.0f) : nullptr,
                           .grad_z = w.uniforms(s.elements(), -1.0f, 1.0f),
                           .grad_mu = grad_head,
                           .grad_logvar = grad_head + s.latent,
                           .grad_mu_stride = 2 * s.latent,
                           .grad_logvar_stride = 2 * s.latent};
                     }));
}

template <>
void add_rows<ColumnSum>(Rows& rows) {
  for (const auto& [batch, columns] : {std::pair{1024, 32}, std::pair{1024, 16384}})
    for (const bool accumulate : {false, true}) {
      if (accumulate && columns > 32) continue;
      rows.push_back(memory_row(ColumnSum::name, accumulate ? "added" : "", sizes(batch, columns),
                                [batch = batch, columns = columns, accumulate](Workspace& w) {
                                  return ColumnSum{
                                      .rows = {w.state(batch), batch},
                                      .columns = columns,
                                      .x = w.uniforms(int64_t{batch} * columns, -1.0f, 1.0f),
                                      .out = accumulate ? w.uniforms(columns, -1.0f, 1.0f)
                                                        : w.zeros(columns),
                                      .accumulate = accumulate};
                                }));
    }
}

template <>
void add_rows<SquaredDistance>(Rows& rows) {
  for (const int32_t batch : kBatches)
    add(rows, int64_t{batch} * kColumns,
        memory_row(SquaredDistance::name, "", sizes(batch, kColumns), [batch](Workspace& w) {
          const int64_t elements = int64_t{batch} * kColumns;
          return SquaredDistance{.rows = {w.state(batch), batch},
                                 .columns = kColumns,
                                 .x = w.uniforms(elements, 0.0f, 1.0f),
                                 .y = w.uniforms(elements, -1.0f, 1.0f),
                                 .distance = w.zeros(batch)};
        }));
}

/// Sums two gradients of a hidden layer: one of all its columns and one of the first half of them.
template <>
void add_rows<GradientSum>(Rows& rows) {
  for (const int32_t batch : kBatches)
    add(rows, int64_t{batch} * kColumns,
        memory_row(GradientSum::name, "", sizes(batch, kColumns), [batch](Workspace& w) {
          const int64_t elements = int64_t{batch} * kColumns;
          constexpr int32_t kPart = kColumns / 2;
          return GradientSum{.rows = {w.state(batch), batch},
                             .columns = kColumns,
                             .terms = {{w.uniforms(elements, -1.0f, 1.0f), kColumns},
                                       {w.uniforms(int64_t{batch} * kPart, -1.0f, 1.0f), kPart}},
                             .out = w.zeros(elements)};
        }));
}

namespace {

/// Numbers of parameters: those of 784-400-z20 with a Bernoulli likelihood, 16 M and 64 M.
constexpr int64_t kArenas[] = {652824, kLarge, kHuge};

}  // namespace

template <>
void add_rows<SquaredNorm>(Rows& rows) {
  for (const int64_t count : kArenas)
    add(rows, count,
        memory_row(SquaredNorm::name, "", std::to_string(count), [count](Workspace& w) {
          return SquaredNorm{.count = count,
                             .x = w.uniforms(count, -1.0f, 1.0f),
                             .partial = w.zeros(arena_chunks(count))};
        }));
}

template <>
void add_rows<OptimizerUpdate>(Rows& rows) {
  math::Optimizers::for_each([&](auto member) {
    using Rule = decltype(member);
    for (const int64_t count : kArenas)
      add(rows, count,
          memory_row(OptimizerUpdate::name, Rule::name, std::to_string(count),
                     [count](Workspace& w) {
                       return OptimizerUpdate{.optimizer = math::Optimizer::of<Rule>(),
                                              .settings = {.weight_decay = 0.01f},
                                              .rate = 0.5f,
                                              .state = w.state(1),
                                              .count = count,
                                              .weight = w.uniforms(count, -0.1f, 0.1f),
                                              .grad = w.uniforms(count, -1.0f, 1.0f),
                                              .first_moment = w.zeros(count),
                                              .second_moment = w.zeros(count),
                                              .end = {}};
                     }));
  });
}

}  // namespace elbo::bench
