#include "host/train/metrics_window.hpp"

#include <limits>

namespace elbo {

double TrainingMetrics::operator[](std::string_view name) const {
  for (const Metric& metric : values)
    if (metric.name == name) return metric.value;
  return std::numeric_limits<double>::quiet_NaN();
}

MetricsWindow::MetricsWindow(const std::vector<ReportedTerm>& terms, TermSums sums)
    : terms_(terms) {
  clear();
  if (sums.sums.size() == terms.size()) sums_ = std::move(sums);
}

void MetricsWindow::add(const StepRecord& record) {
  const double rows = record.rows;
  rows_ += rows;
  sums_.rows += rows;
  sums_.sums.resize(terms_.size());
  for (size_t i = 0; i < terms_.size(); ++i) sums_.sums[i] += rows * record.terms[i];
  last_ = record;
}

void MetricsWindow::clear() {
  start_ = Clock::now();
  rows_ = 0.0;
  sums_ = {};
}

TrainingMetrics MetricsWindow::report(double training_seconds) const {
  TrainingMetrics m;
  m.step = last_.step;
  m.epoch = last_.epoch + 1;
  std::vector<std::pair<std::string_view, double>> means;
  for (size_t i = 0; i < terms_.size(); ++i)
    means.emplace_back(terms_[i].name, sums_.sums[i] / sums_.rows);
  m.values = metrics_of(means);
  m.learning_rate = last_.learning_rate;
  m.beta = last_.beta;
  m.seconds = training_seconds;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  m.samples_per_second = rows_ / std::max(1e-9, seconds);
  return m;
}

}  // namespace elbo
