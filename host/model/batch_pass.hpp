// Records the computation of one batch in a model, as far as it is needed: codes, reconstructions,
// samples and losses. Results that two phases of a step share are computed once.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "host/model/phases.hpp"
#include "kernels/optimizer.hpp"

namespace elbo {

/// A quantity that a step reports: one or more values per input.
struct ReportedTerm {
  std::string_view name;
  StepTerm term;
};

class BatchPass {
 public:
  struct Inputs {
    Value x;      // [inputs, dim] float: read by the likelihood and the discriminator
    Value input;  // read by the encoder
    EpsilonSource epsilon;
    std::span<const int32_t> labels;  // on the device, of the whole data set; empty without a
                                      // classifier
    int32_t samples = 1;              // samples of a Gaussian code per input
  };
  /// All arguments must outlive the pass and the tape of the recorder.
  BatchPass(const Architecture& architecture, const ModelSettings& settings, Recorder& recorder,
            Inputs inputs);

  const Encoder::Encoding& encoding();
  const Encoder::Code& code();
  /// Returns E[x | z].
  const Value& mean();

  /// Records a loss and its gradients for the parts that the recorder trains.
  void add(Loss loss);
  /// Records a phase up to the gradients of its parameters; returns the range of these parameters.
  ParameterRange add(const Phase& phase);

  /// Records every quantity that the model can report, without gradients.
  void add_all(bool has_labels);

  /// Returns the quantities reported by the losses so far, by name: nll, kl, iwae (the bound), l1,
  /// class_loss, correct; for a discriminator also nll_real, nll_generated, d_real and d_generated
  /// (-log-likelihood and probability of the real and the generated rows).
  const std::vector<ReportedTerm>& terms() const { return terms_; }

 private:
  /// Codes, and the decoder's output for them once it is needed.
  struct Generated {
    Value z;
    std::optional<Value> output, mean;
  };
  Generated& reconstruction();
  Generated& prior_sample();
  const Value& output(Generated& from);
  const Value& mean(Generated& from);
  /// Returns the generated values that the discriminator must distinguish from real ones.
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

/// Returns the metrics for display, from the means of terms: iwae, elbo, reconstruction and kl in
/// nats per input, l1, class_loss, accuracy, gan_value = V(D, G), d_real and d_generated (mean D).
std::vector<Metric> metrics_of(const std::vector<std::pair<std::string_view, double>>& terms);

}  // namespace elbo
