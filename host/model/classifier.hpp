// A classifier on a code: a network whose outputs are the logits of ŷ = softmax(W h + b).
//
// Parameters: classifier.N.{weight,bias} for hidden layers, classifier.output.{weight,bias}.
#pragma once

#include <span>

#include "host/model/config.hpp"
#include "host/nn/dense.hpp"
#include "host/nn/network.hpp"

namespace elbo {

class Classifier {
 public:
  Classifier(ParameterLayout& layout, const Config& config, int32_t in, int32_t classes);

  int32_t classes() const { return output_.width(); }
  void initialize(std::span<float> weights, uint64_t seed) const;

  /// [rows, classes]
  Value logits(Recorder& recorder, const Value& code) const;

  struct Terms {
    float* loss = nullptr;     // [rows]
    float* correct = nullptr;  // [rows] 1 where the likeliest class is the label's
  };
  /// `labels` is indexed by the data set's rows, `row_ids` are those of the batch. Where a gradient
  /// is wanted, that of weight * the mean loss is added to logits, whose memory it takes.
  Terms loss(Recorder& recorder, const Value& logits, std::span<const int32_t> labels,
             const uint32_t* row_ids, float weight) const;

 private:
  math::ClassLoss loss_;
  Network network_;
  Dense output_;
};

}  // namespace elbo
