#include "host/model/classifier.hpp"

namespace elbo {

Classifier::Classifier(ParameterLayout& layout, const ClassifierSettings& settings,
                       const NetworkSettings& network, int32_t in, int32_t classes)
    : loss_(settings.classifier.value()),
      network_(layout, "classifier", {1, 1, in},
               dense_layers(settings.classifier_hidden, network.activation)),
      output_(layout, "classifier.output", network_.out().size(), classes, kIdentityActivation) {}

void Classifier::initialize(std::span<float> weights, uint64_t seed) const {
  network_.initialize(weights, seed);
  output_.initialize(weights, seed);
}

Value Classifier::logits(Recorder& recorder, const Value& code) const {
  return output_.forward(recorder, network_.forward(recorder, code), Format::f32);
}

Classifier::Terms Classifier::loss(Recorder& recorder, const Value& logits,
                                   std::span<const int32_t> labels, const uint32_t* row_ids,
                                   float weight) const {
  const bool gradients = recorder.wants_gradient(logits);
  const Terms terms = {recorder.tensor(logits.rows, 1).f32(),
                       recorder.tensor(logits.rows, 1).f32()};
  const Value grad = gradients ? recorder.loss_gradient(logits) : Value();
  recorder.add(CategoricalTerms{.loss_kind = loss_,
                                .gradients = gradients,
                                .weight = weight,
                                .rows = logits.rows,
                                .classes = classes(),
                                .labels = labels.data(),
                                .label_count = static_cast<int64_t>(labels.size()),
                                .row_ids = row_ids,
                                .logits = logits.f32(),
                                .loss = terms.loss,
                                .correct = terms.correct,
                                .grad_logits = grad.bf16()});
  if (gradients) recorder.add_gradient(logits, grad);
  return terms;
}

}  // namespace elbo
