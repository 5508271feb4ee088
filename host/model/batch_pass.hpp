// One batch on its way through a model, recorded as far as somebody asks: codes, reconstructions,
// samples and losses. What two phases of a step have in common is computed once.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "host/model/phases.hpp"
#include "kernels/optimizer.hpp"

namespace elbo {

/// A quantity that a step reports, one value or more for each input.
struct ReportedTerm {
  std::string_view name;
  StepTerm term;
};

class BatchPass {
 public:
  struct Inputs {
    Value x;      // [inputs, dim] float: what likelihood and discriminator see
    Value input;  // what the encoder reads
    EpsilonSource epsilon;
    std::span<const int32_t> labels;  // on the device, of all rows, if there is a classifier
    int32_t samples = 1;              // of a Gaussian code per input
  };
  /// All must outlive the pass, and the recorder's tape.
  BatchPass(const Architecture& architecture, const ModelSettings& settings, Recorder& recorder,
            Inputs inputs);

  const Encoder::Encoding& encoding();
  const Encoder::Code& code();
  /// E[x | z]
  const Value& mean();

  /// Records a loss and, for the parts that the recorder trains, its gradients.
  void add(Loss loss);
  /// Records a phase up to the gradients of its parameters, which it returns.
  ParameterRange add(const Phase& phase);

  /// Records every quantity that the model has got, without gradients.
  void add_all(bool has_labels);

  /// What the losses so far report, by name: nll, kl, iwae (the bound), l1, class_loss, correct,
  /// and of the discriminator the real and generated rows' nll and probability.
  const std::vector<ReportedTerm>& terms() const { return terms_; }

 private:
  /// Codes, and what is made of them.
  struct Generated {
    Value z;
    std::optional<Value> output, mean;
  };
  Generated& reconstruction();
  Generated& prior_sample();
  const Value& output(Generated& from);
  const Value& mean(Generated& from);
  /// What the discriminator is to tell from what is real.
  std::vector<Value> generated();
  void discriminate();
  void deceive();
  void weigh_samples();
  void report(std::string_view name, const float* values, const Rows& rows);

  const Architecture& architecture_;
  const ModelSettings& settings_;
  Recorder& recorder_;
  Inputs inputs_;
  std::optional<Encoder::Encoding> encoding_;
  std::optional<Encoder::Code> code_;
  std::optional<Generated> reconstruction_, prior_sample_;
  std::vector<ReportedTerm> terms_;
};

/// A named number.
struct Metric {
  std::string name;
  double value = 0.0;
};

/// What people are told, from the means of terms: iwae, elbo, reconstruction and kl in nats per
/// input, l1, class_loss, accuracy, gan_value = V(D, G), d_real and d_generated (mean D).
std::vector<Metric> metrics_of(const std::vector<std::pair<std::string_view, double>>& terms);

}  // namespace elbo
