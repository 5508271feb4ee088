// Rows of the losses: likelihoods, the losses of a classifier, and the L1 penalty on a code.
#include "bench/op_rows.hpp"

namespace elbo::bench {

namespace {

/// Adds the rows of likelihood `L`. Its variances, if it shares any, belong to `channels` channels;
/// `channel_step` adjacent elements have the same channel.
template <class L>
void add_likelihood_rows(Rows& rows, const std::string& variant, int32_t channels,
                         int32_t channel_step) {
  for (const int32_t batch : kBatches)
    add(rows, int64_t{batch} * kColumns,
        memory_row(LikelihoodTerms::name, variant, sizes(batch, kColumns), [=](Workspace& w) {
          const int64_t elements = int64_t{batch} * kColumns;
          const bool shared = L::variance != math::VarianceRole::none;
          return LikelihoodTerms{
              .likelihood = math::Likelihood::of<L>(),
              .inputs = {w.state(batch), batch},
              .columns = kColumns,
              .channels = channels,
              .channel_step = channel_step,
              .x = w.uniforms(elements, 0.0f, 1.0f),
              .output = w.uniforms(L::parameters * elements, -2.0f, 2.0f),
              .log_variance = shared ? w.uniforms(channels, -1.0f, 1.0f) : nullptr,
              .nll = w.zeros(batch),
              .grad_log_variance =
                  math::is_learned(L::variance) ? w.zeros(int64_t{batch} * channels) : nullptr};
        }));
}

}  // namespace

template <>
void add_rows<LikelihoodTerms>(Rows& rows) {
  math::Likelihoods::for_each([&](auto member) {
    using L = decltype(member);
    const std::string name(L::name);
    if constexpr (L::variance == math::VarianceRole::learned_by_channel) {
      constexpr int32_t kChannels = 4;
      add_likelihood_rows<L>(rows, name + "-pixels", kChannels, 1);
      add_likelihood_rows<L>(rows, name + "-planes", kChannels, kColumns / kChannels);
    } else {
      add_likelihood_rows<L>(rows, name, 1, 1);
    }
  });
}

template <>
void add_rows<LikelihoodMean>(Rows& rows) {
  math::Likelihoods::for_each([&](auto member) {
    using L = decltype(member);
    for (const int32_t batch : kBatches)
      add(rows, int64_t{batch} * kColumns,
          memory_row(LikelihoodMean::name, L::name, sizes(batch, kColumns), [batch](Workspace& w) {
            const int64_t elements = int64_t{batch} * kColumns;
            return LikelihoodMean{.likelihood = math::Likelihood::of<L>(),
                                  .rows = {w.state(batch), batch},
                                  .columns = kColumns,
                                  .output = w.uniforms(L::parameters * elements, -4.0f, 4.0f),
                                  .mean = w.zeros(elements)};
          }));
  });
}

namespace {

constexpr int32_t kClasses = 10;

}  // namespace

template <>
void add_rows<CategoricalTerms>(Rows& rows) {
  math::ClassLosses::for_each([&](auto member) {
    using L = decltype(member);
    for (const int32_t batch : {128, static_cast<int32_t>(kLarge / 16)})
      add(rows, int64_t{batch} * kClasses,
          memory_row(CategoricalTerms::name, L::name, sizes(batch, kClasses),
                     [batch](Workspace& w) {
                       return CategoricalTerms{
                           .loss_kind = math::ClassLoss::of<L>(),
                           .rows = {w.state(batch), batch},
                           .classes = kClasses,
                           .labels = w.labels(batch, kClasses),
                           .label_count = batch,
                           .row_ids = w.counting(batch),
                           .logits = w.uniforms(int64_t{batch} * kClasses, -4.0f, 4.0f),
                           .loss = w.zeros(batch),
                           .correct = w.zeros(batch)};
                     }));
  });
}

/// The penalty on the code of a sparse autoencoder, whose activation is a ReLU.
template <>
void add_rows<L1Terms>(Rows& rows) {
  for (const int32_t batch : kBatches)
    add(rows, int64_t{batch} * kColumns,
        memory_row(L1Terms::name, "relu", sizes(batch, kColumns), [batch](Workspace& w) {
          const int64_t elements = int64_t{batch} * kColumns;
          const float* code = w.uniforms(elements, -0.5f, 0.5f);
          return L1Terms{.rows = {w.state(batch), batch},
                         .columns = kColumns,
                         .weight = 0.1f,
                         .activation = math::Activation::of<math::Relu>(),
                         .x = code,
                         .saved = code,
                         .norm = w.zeros(batch),
                         .grad_x = w.zeros(elements)};
        }));
}

/// 50 samples, as in the largest experiment of the IWAE paper.
template <>
void add_rows<ImportanceWeights>(Rows& rows) {
  constexpr int32_t kSamples = 50;
  for (const int32_t batch : kBatches)
    add(rows, int64_t{batch} * kSamples,
        memory_row(ImportanceWeights::name, "", sizes(batch, kSamples), [batch](Workspace& w) {
          const int64_t samples = int64_t{batch} * kSamples;
          return ImportanceWeights{.inputs = {w.state(batch), batch},
                                   .samples = kSamples,
                                   .nll = w.uniforms(samples, 80.0f, 90.0f),
                                   .log_ratio = w.uniforms(samples, -30.0f, -20.0f),
                                   .bound = w.zeros(batch),
                                   .weight = w.zeros(samples)};
        }));
}

}  // namespace elbo::bench
