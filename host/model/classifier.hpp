// A classifier of codes: a network whose outputs are the logits of ŷ = softmax(W h + b).
//
// Parameters: classifier.N.{weight,bias} for hidden layers, classifier.output.{weight,bias}.
#pragma once

#include <span>

#include "host/model/likelihood.hpp"
#include "host/model/networks.hpp"
#include "host/nn/dense.hpp"
#include "host/nn/network.hpp"

namespace elbo {

struct ClassifierSettings {
  static constexpr std::string_view title = "classifier";
  std::optional<math::ClassLoss> classifier = std::nullopt;
  std::vector<int64_t> classifier_hidden = {};
  double classifier_weight = 1.0;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("classifier", s.classifier, Any{},
      "loss of a classifier of z by the data set's labels (`elbo list class-losses`), or none");
    v("classifier-hidden", s.classifier_hidden, Each{AtLeast{1, 1e6}},
      "widths of the classifier's hidden layers");
    v("classifier-weight", s.classifier_weight, AtLeast{0, 1e6}, "weight of the classifier's loss");
  }
  bool operator==(const ClassifierSettings&) const = default;

  bool classifies() const { return classifier.has_value(); }
  void check(Combination& c, const LikelihoodSettings& l) const {
    c.refuse_if(!l.decodes() && !classifies(), c.said(l.likelihood), c.said(classifier),
                "there is nothing to learn; use a likelihood or a classifier");
    c.idle_unless(classifies(), "with " + c.said(classifier), classifier_hidden, classifier_weight);
  }
};

class Classifier {
 public:
  /// The settings must name a loss.
  Classifier(ParameterLayout& layout, const ClassifierSettings& settings,
             const NetworkSettings& network, int32_t in, int32_t classes);

  int32_t classes() const { return output_.width(); }
  void initialize(std::span<float> weights, uint64_t seed) const;

  /// [rows, classes]
  Value logits(Recorder& recorder, const Value& code) const;

  struct Terms {
    float* loss = nullptr;     // [rows]
    float* correct = nullptr;  // [rows], 1 if the most probable class is the label, else 0
  };
  /// Records the loss. `labels` is indexed by the rows of the data set, and `row_ids` contains the
  /// row indices of the batch. If the logits want a gradient, the gradient of weight * mean loss is
  /// added to it; it reuses the memory of the logits.
  Terms loss(Recorder& recorder, const Value& logits, std::span<const int32_t> labels,
             const uint32_t* row_ids, float weight) const;

 private:
  math::ClassLoss loss_;
  Network network_;
  Dense output_;
};

}  // namespace elbo
