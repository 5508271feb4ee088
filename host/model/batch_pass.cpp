#include "host/model/batch_pass.hpp"

#include <algorithm>

namespace elbo {

BatchPass::BatchPass(const Architecture& architecture, const ModelSettings& settings,
                     Recorder& recorder, Inputs inputs)
    : architecture_(architecture),
      settings_(settings),
      recorder_(recorder),
      inputs_(std::move(inputs)) {}

const Encoder::Encoding& BatchPass::encoding() {
  if (!encoding_) encoding_ = architecture_.encoder().encode(recorder_, inputs_.input);
  return *encoding_;
}

const Encoder::Code& BatchPass::code() {
  if (!code_)
    code_ = architecture_.encoder().sample(recorder_, encoding(), inputs_.epsilon, inputs_.samples);
  return *code_;
}

BatchPass::Generated& BatchPass::reconstruction() {
  if (!reconstruction_) reconstruction_ = Generated{code().z, {}, {}};
  return *reconstruction_;
}

BatchPass::Generated& BatchPass::prior_sample() {
  if (!prior_sample_)
    prior_sample_ = Generated{
        architecture_.encoder().prior(recorder_, inputs_.x.rows, inputs_.epsilon), {}, {}};
  return *prior_sample_;
}

const Value& BatchPass::output(Generated& from) {
  if (!from.output) from.output = architecture_.decoder().decode(recorder_, from.z);
  return *from.output;
}

const Value& BatchPass::mean(Generated& from) {
  if (!from.mean) from.mean = architecture_.decoder().mean(recorder_, output(from));
  return *from.mean;
}

const Value& BatchPass::mean() { return mean(reconstruction()); }

std::vector<Value> BatchPass::generated() {
  if (architecture_.judges_codes()) return {code().z};
  std::vector<Value> values;
  if (settings_.discriminator_inputs != DiscriminatorInputs::samples) values.push_back(mean());
  if (settings_.discriminator_inputs != DiscriminatorInputs::reconstructions)
    values.push_back(mean(prior_sample()));
  return values;
}

void BatchPass::discriminate() {
  const Discriminator& discriminator = architecture_.discriminator();
  const Value real = architecture_.judges_codes() ? prior_sample().z : inputs_.x;
  const Discriminator::Terms terms = discriminator.judge(recorder_, real, Verdict::real, 1.0f);
  report("nll_real", terms.nll, real.rows);
  report("d_real", terms.probability, real.rows);
  const std::vector<Value> values = generated();
  const float weight = 1.0f / static_cast<float>(values.size());
  for (const Value& value : values) {
    const Discriminator::Terms judged =
        discriminator.judge(recorder_, value, Verdict::generated, weight);
    report("nll_generated", judged.nll, value.rows);
    report("d_generated", judged.probability, value.rows);
  }
}

void BatchPass::deceive() {
  // Non-saturating: minimise -log D(G); saturating: log(1 - D(G)) (Goodfellow et al. 2014, sec. 3).
  const bool saturating = settings_.generator_loss == GeneratorLoss::saturating;
  const std::vector<Value> values = generated();
  const auto weight =
      static_cast<float>(settings_.adversarial_weight / static_cast<double>(values.size()));
  for (const Value& value : values)
    architecture_.discriminator().judge(recorder_, value,
                                        saturating ? Verdict::generated : Verdict::real,
                                        saturating ? -weight : weight);
}

void BatchPass::weigh_samples() {
  const Encoder::Code& code = this->code();
  const Value& parameters = output(reconstruction());
  const Decoder& decoder = architecture_.decoder();
  const Rows inputs = encoding().head.rows;
  // The gradient needs the importance weights, which depend on the likelihood of every sample. A
  // single sample has weight 1.
  const bool first_weights = recorder_.wants_gradient(parameters) && parameters.rows.per_input > 1;
  const float* nll = first_weights ? decoder.nll(recorder_, inputs_.x, parameters)
                                   : decoder.loss(recorder_, inputs_.x, parameters, 1.0f);
  float* bound = recorder_.tensor(inputs, 1).f32();
  recorder_.add(ImportanceWeights{.inputs = inputs,
                                  .samples = parameters.rows.per_input,
                                  .nll = nll,
                                  .log_ratio = code.log_ratio,
                                  .bound = bound,
                                  .weight = code.importance});
  if (first_weights) decoder.loss(recorder_, inputs_.x, parameters, 1.0f, code.importance);
  report("iwae", bound, inputs);
  report("nll", nll, parameters.rows);
  report("kl", code.kl, inputs);
}

void BatchPass::add(Loss loss) {
  switch (loss) {
    case Loss::classification: {
      const Classifier& classifier = architecture_.classifier();
      const Value logits = classifier.logits(recorder_, code().z);
      const Classifier::Terms terms =
          classifier.loss(recorder_, logits, inputs_.labels, inputs_.epsilon.row_ids,
                          static_cast<float>(settings_.classifier_weight));
      report("class_loss", terms.loss, logits.rows);
      report("correct", terms.correct, logits.rows);
      break;
    }
    case Loss::discrimination:
      discriminate();
      break;
    case Loss::adversarial:
      deceive();
      break;
    case Loss::sparsity: {
      const Value& z = code().z;
      const bool gradients = recorder_.wants_gradient(z);
      const Value grad = gradients ? recorder_.tensor(z.rows, z.columns, z.gradient) : Value();
      float* norm = recorder_.tensor(z.rows, 1).f32();
      recorder_.add(L1Terms{.rows = z.rows,
                            .columns = z.columns,
                            .weight = static_cast<float>(settings_.code_l1),
                            .activation = z.activation,
                            .x = z.data,
                            .saved = z.saved,
                            .norm = norm,
                            .grad_x = grad.data});
      if (gradients) recorder_.add_gradient(z, grad);
      report("l1", norm, z.rows);
      break;
    }
    case Loss::divergence:
      // Encoder::backward adds the gradient of the KL to the gradient of z.
      report("kl", code().kl, encoding().head.rows);
      break;
    case Loss::importance:
      weigh_samples();
      break;
    case Loss::reconstruction: {
      const Value& parameters = output(reconstruction());
      const float* nll = architecture_.decoder().loss(
          recorder_, inputs_.x, parameters, static_cast<float>(settings_.reconstruction_weight));
      report("nll", nll, parameters.rows);
      break;
    }
  }
}

void BatchPass::add_all(bool has_labels) {
  const Architecture& a = architecture_;
  if (a.has(Part::classifier) && has_labels) add(Loss::classification);
  if (a.has(Part::discriminator)) add(Loss::discrimination);
  if (a.encoder().bottleneck() == Bottleneck::deterministic) add(Loss::sparsity);
  if (settings_.objective == Objective::iwae) return add(Loss::importance);
  if (a.has(Part::decoder)) add(Loss::reconstruction);
  if (a.encoder().gaussian()) add(Loss::divergence);
}

ParameterRange BatchPass::add(const Phase& phase) {
  const ParameterRange range = range_of(phase, architecture_);
  recorder_.train(range);
  for (const Loss loss : phase.losses) add(loss);
  recorder_.backward();
  // The update after this phase changes the parameters from which these values were computed.
  for (const Part part : phase.parts) {
    if (part == Part::encoder) encoding_.reset(), code_.reset(), reconstruction_.reset();
    if (part == Part::decoder) reconstruction_.reset(), prior_sample_.reset();
  }
  return range;
}

void BatchPass::report(std::string_view name, const float* values, const Rows& rows) {
  terms_.push_back({name, {values, rows.per_input}});
}

std::vector<Metric> metrics_of(const std::vector<std::pair<std::string_view, double>>& terms) {
  // Averages terms with equal names: both reconstructions and prior samples report d_generated.
  const auto mean = [&](std::string_view name) -> std::optional<double> {
    double sum = 0.0;
    int count = 0;
    for (const auto& [term, value] : terms)
      if (term == name) sum += value, ++count;
    return count == 0 ? std::nullopt : std::optional(sum / count);
  };
  std::vector<Metric> metrics;
  const auto add = [&](const char* name, double value) { metrics.push_back({name, value}); };
  const auto nll = mean("nll"), kl = mean("kl");
  if (const auto iwae = mean("iwae")) add("iwae", *iwae);
  if (nll && kl) add("elbo", -*nll - *kl);
  if (nll) add("reconstruction", -*nll);
  if (kl) add("kl", *kl);
  if (const auto l1 = mean("l1")) add("l1", *l1);
  if (const auto loss = mean("class_loss")) add("class_loss", *loss);
  if (const auto correct = mean("correct")) add("accuracy", *correct);
  if (const auto real = mean("nll_real")) {
    add("gan_value", -*real - *mean("nll_generated"));
    add("d_real", *mean("d_real"));
    add("d_generated", *mean("d_generated"));
  }
  return metrics;
}

}  // namespace elbo
