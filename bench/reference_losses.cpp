// The losses: likelihoods, the losses of a classifier, and the L1 penalty on a code.
#include <algorithm>
#include <limits>

#include "bench/reference_ops.hpp"

namespace elbo::reference {
namespace {

template <class L>
void terms(const LikelihoodTerms& op) {
  const int64_t rows = static_cast<int64_t>(op.inputs.active()) * op.samples;
  const double mean = op.weight / static_cast<double>(rows);
  const Reals grad_output = op.grad_output == nullptr ? Reals(op.output) : Reals(op.grad_output);
#pragma omp parallel for
  for (int64_t row = 0; row < rows; ++row) {
    double nll = 0.0, grad_log_variance[LikelihoodTerms::kMostChannels] = {};
    const double scale = op.row_weight == nullptr ? mean : mean * op.row_weight[row];
    const int64_t first = row * L::parameters * op.columns;
    for (int64_t c = 0; c < op.columns; ++c) {
      double parameter[L::parameters];
      for (int p = 0; p < L::parameters; ++p) parameter[p] = op.output[first + p * op.columns + c];
      const double x = op.x[row / op.samples * op.columns + c];
      const int64_t channel = c / op.channel_step % op.channels;
      const double log_variance = op.log_variance == nullptr ? 0.0 : op.log_variance[channel];
      const auto t = L::terms(x, parameter, math::shared_variance(log_variance));
      nll += t.nll;
      grad_log_variance[channel] += t.grad_log_variance;
      if (!op.gradients) continue;
      for (int p = 0; p < L::parameters; ++p)
        put(grad_output, first + p * op.columns + c, scale * t.grad_output[p]);
    }
    op.nll[row] = as_float(nll);
    if (op.gradients && op.grad_log_variance != nullptr)
      for (int64_t channel = 0; channel < op.channels; ++channel)
        op.grad_log_variance[row * op.channels + channel] =
            as_float(scale * grad_log_variance[channel]);
  }
}

}  // namespace

void run_op(const LikelihoodTerms& op) {
  op.likelihood.visit([&](auto likelihood) { terms<decltype(likelihood)>(op); });
}
std::vector<Output> outputs_of(const LikelihoodTerms& op) {
  const int64_t rows = static_cast<int64_t>(op.inputs.active()) * op.samples;
  std::vector<Output> outputs = {{"nll", op.nll, rows, sum_of(op.columns)}};
  const int64_t elements = rows * op.parameters() * op.columns;
  if (op.gradients)
    outputs.push_back(op.grad_output == nullptr
                          ? Output{"output", op.output, elements, kElementwise}
                          : output("grad_output", op.grad_output, elements, kElementwise));
  if (op.gradients && op.grad_log_variance != nullptr)
    outputs.push_back(
        {"grad_log_variance", op.grad_log_variance, rows * op.channels, sum_of(op.columns)});
  return outputs;
}

void run_op(const LikelihoodMean& op) {
  op.likelihood.visit([&](auto likelihood) {
    using L = decltype(likelihood);
#pragma omp parallel for
    for (int64_t row = 0; row < op.rows.active(); ++row)
      for (int64_t c = 0; c < op.columns; ++c) {
        const double first = op.output[row * L::parameters * op.columns + c];
        op.mean[row * op.columns + c] = as_float(L::Mean::value(first));
      }
  });
}
std::vector<Output> outputs_of(const LikelihoodMean& op) {
  return {{"mean", op.mean, static_cast<int64_t>(op.rows.active()) * op.columns, kElementwise}};
}

namespace {

/// Computes the loss, the gradient and the correctness of a row of logits, from the definition of
/// the softmax.
void classify(const CategoricalTerms& op, int64_t row) {
  const float* logits = op.logits + row * op.classes;
  const int64_t label = op.labels[op.row_ids[row / op.rows.per_input]];
  const float* best = std::max_element(logits, logits + op.classes);
  std::vector<double> p(static_cast<size_t>(op.classes));
  double sum = 0.0;
  for (size_t c = 0; c < p.size(); ++c)
    sum += p[c] = std::exp(static_cast<double>(logits[c]) - *best);
  for (double& probability : p) probability /= sum;

  const bool squared = op.loss_kind == math::ClassLoss::of<math::SquaredError>();
  double loss = *best + std::log(sum) - logits[label], shift = 0.0;
  if (squared) loss = 0.0;
  const auto error = [&](size_t c) {
    return p[c] - (static_cast<int64_t>(c) == label ? 1.0 : 0.0);
  };
  for (size_t c = 0; squared && c < p.size(); ++c) {
    loss += error(c) * error(c);
    shift += p[c] * error(c);
  }
  op.loss[row] = as_float(loss);
  op.correct[row] = best - logits == label ? 1.0f : 0.0f;
  if (!op.gradients) return;
  const Reals grad = op.grad_logits == nullptr ? Reals(op.logits) : Reals(op.grad_logits);
  for (size_t c = 0; c < p.size(); ++c)
    put(grad, row * op.classes + static_cast<int64_t>(c),
        op.weight / static_cast<double>(op.rows.active()) *
            (squared ? 2.0 * p[c] * (error(c) - shift) : error(c)));
}

}  // namespace

void run_op(const CategoricalTerms& op) {
#pragma omp parallel for
  for (int64_t row = 0; row < op.rows.active(); ++row) classify(op, row);
}
std::vector<Output> outputs_of(const CategoricalTerms& op) {
  const int64_t rows = op.rows.active(), scores = rows * op.classes;
  std::vector<Output> outputs = {{"loss", op.loss, rows, sum_of(op.classes)},
                                 {"correct", op.correct, rows}};
  if (op.gradients)
    outputs.push_back(output(op.grad_logits == nullptr ? "logits" : "grad_logits",
                             op.grad_logits == nullptr ? Reals(op.logits) : Reals(op.grad_logits),
                             scores, sum_of(op.classes)));
  return outputs;
}

void run_op(const ImportanceWeights& op) {
  const double beta = op.inputs.state->beta;
#pragma omp parallel for
  for (int64_t b = 0; b < op.inputs.active(); ++b) {
    const int64_t first = b * op.samples, end = first + op.samples;
    const auto log_mean_exp = [&](double with) {
      double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;
      for (int64_t l = first; l < end; ++l)
        largest = std::max(largest, with * op.log_ratio[l] - op.nll[l]);
      for (int64_t l = first; l < end; ++l)
        sum += std::exp(with * op.log_ratio[l] - op.nll[l] - largest);
      return largest + std::log(sum / op.samples);
    };
    op.bound[b] = as_float(log_mean_exp(1.0));
    if (op.weight == nullptr) continue;
    const double tempered = log_mean_exp(beta);
    for (int64_t l = first; l < end; ++l)
      op.weight[l] = as_float(std::exp(beta * op.log_ratio[l] - op.nll[l] - tempered));
  }
}
std::vector<Output> outputs_of(const ImportanceWeights& op) {
  const int64_t inputs = op.inputs.active();
  // The exponents are about a hundred. Their absolute rounding errors become relative errors of the
  // exponentials.
  constexpr double kExponent = 256.0;
  std::vector<Output> outputs = {{"bound", op.bound, inputs, sum_of(op.samples)}};
  if (op.weight != nullptr)
    outputs.push_back({"weight", op.weight, inputs * op.samples, sum_of(op.samples) + kExponent});
  return outputs;
}

void run_op(const L1Terms& op) {
  const double scale = op.weight / static_cast<double>(op.rows.active());
  op.activation.visit([&](auto activation) {
#pragma omp parallel for
    for (int64_t row = 0; row < op.rows.active(); ++row) {
      double norm = 0.0;
      for (int64_t i = row * op.columns; i < (row + 1) * op.columns; ++i) {
        const double x = at(op.x, i);
        norm += std::abs(x);
        if (!op.grad_x) continue;
        const double slope = op.saved ? decltype(activation)::derivative(at(op.saved, i)) : 1.0;
        put(op.grad_x, i, x == 0.0 ? 0.0 : std::copysign(scale, x) * slope);
      }
      op.norm[row] = as_float(norm);
    }
  });
}
std::vector<Output> outputs_of(const L1Terms& op) {
  const int64_t rows = op.rows.active();
  std::vector<Output> outputs = {{"norm", op.norm, rows, sum_of(op.columns)}};
  if (op.grad_x) outputs.push_back(output("grad_x", op.grad_x, rows * op.columns, kElementwise));
  return outputs;
}

}  // namespace elbo::reference
