#include "host/train/divergence.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "host/io/formatted.hpp"

namespace elbo {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0.0 ? "inf" : "-inf";
}

struct Extremes {
  float largest = 0.0f;
  int64_t not_finite = 0;
};
Extremes extremes(std::span<const float> values) {
  Extremes found;
  for (const float value : values)
    if (std::isfinite(value))
      found.largest = std::max(found.largest, std::abs(value));
    else
      ++found.not_finite;
  return found;
}

template <class Stored>
double largest_in(const void* rows, uint32_t row, int64_t dim) {
  const Stored* values = static_cast<const Stored*>(rows) + row * dim;
  double largest = 0.0;
  for (int64_t i = 0; i < dim; ++i)
    largest = std::max(largest, std::abs(static_cast<double>(values[i])));
  return largest;
}

double largest_in(const Split& split, uint32_t row, int64_t dim) {
  switch (split.dtype) {
    case DType::u8:
      return largest_in<uint8_t>(split.rows, row, dim);
    case DType::f32:
      return largest_in<float>(split.rows, row, dim);
    case DType::f64:
      return largest_in<double>(split.rows, row, dim);
  }
  return 0.0;
}

Json json_of(const Divergence::Step& step) {
  Json json = {{"step", step.step}, {"epoch", step.epoch}};
  for (const Metric& metric : step.values) json[metric.name] = number(metric.value);
  json["learning_rate"] = step.learning_rate;
  json["beta"] = step.beta;
  if (step.gradient_norm) json["gradient_norm"] = number(*step.gradient_norm);
  return json;
}

}  // namespace

bool is_finite(const StepRecord& record) {
  return std::ranges::all_of(record.terms, [](float v) { return std::isfinite(v); }) &&
         std::isfinite(record.gradient_norm);
}

Divergence::Step reported(const StepRecord& record, const std::vector<ReportedTerm>& terms) {
  std::vector<std::pair<std::string_view, double>> values;
  for (size_t i = 0; i < terms.size(); ++i) values.emplace_back(terms[i].name, record.terms[i]);
  Divergence::Step step = {record.step,          record.epoch + 1, metrics_of(values),
                           record.learning_rate, record.beta,      {}};
  if (record.gradient_norm != -1.0f) step.gradient_norm = record.gradient_norm;
  return step;
}

void examine(Divergence& divergence, const Model& model, const Split& train,
             const TrainingPass& pass, int32_t rows, const std::vector<float>& weights) {
  divergence.rows = pass.batch_rows();
  divergence.rows.resize(static_cast<size_t>(rows));
  for (const uint32_t row : divergence.rows) {
    const double largest = largest_in(train, row, model.data.dim());
    if (largest <= divergence.largest_value) continue;
    divergence.largest_value = largest;
    divergence.largest_row = row;
  }
  const std::vector<float> gradients = model.arena.gradients.download();
  for (const Parameter& p : model.architecture.layout().parameters()) {
    const auto part = [&](std::span<const float> arena) {
      return extremes(arena.subspan(static_cast<size_t>(p.offset), static_cast<size_t>(p.count())));
    };
    const Extremes weight = part(weights), gradient = part(gradients);
    divergence.tensors.push_back(
        {p.name, weight.largest, gradient.largest, weight.not_finite, gradient.not_finite});
  }
}

std::string describe(const Divergence& d) {
  std::string values;
  for (const Metric& metric : d.step.values)
    if (metric.name != "elbo")
      values += formatted("{}{} {:f}", values.empty() ? "" : ", ", metric.name, metric.value);
  std::string text = formatted("training diverged at step {}: ", d.step.step);
  if (d.what != "loss") text += "its " + d.what + " are not finite, ";
  text += values;
  if (!d.repeated)
    text += formatted("; replaying from step {} did not reproduce it: suspect faulty hardware",
                      d.good_step);
  return text;
}

std::string to_json(const Divergence& d) {
  Json json = json_of(d.step);
  json["not_finite"] = d.what;
  json["good_step"] = d.good_step;
  json["repeated"] = d.repeated;
  if (d.repeated) {
    json["rows"] = d.rows;
    json["largest_input"] = {{"row", d.largest_row}, {"value", d.largest_value}};
    json["tensors"] = Json::array();
    for (const Divergence::Tensor& tensor : d.tensors)
      json["tensors"].push_back({{"name", tensor.name},
                                 {"largest_weight", tensor.largest_weight},
                                 {"weights_not_finite", tensor.weights_not_finite},
                                 {"largest_gradient", tensor.largest_gradient},
                                 {"gradients_not_finite", tensor.gradients_not_finite}});
    json["steps_before"] = Json::array();
    for (const Divergence::Step& step : d.before) json["steps_before"].push_back(json_of(step));
  }
  json["goes_on"] = d.learning_rate_factor.has_value();
  if (d.learning_rate_factor) json["learning_rate_factor"] = *d.learning_rate_factor;
  return json.dump(1);
}

}  // namespace elbo
