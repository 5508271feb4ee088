#include "bench/calibrate/report.hpp"

#include <algorithm>
#include <cstdio>

#include "kernels/core/error.hpp"

namespace elbo::calibrate {
namespace {

/// Returns the value below which the fraction `q` of the values lies.
double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0.0;
  const auto place = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<size_t>(place)];
}

std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_float()) return value.dump();
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value.get<double>());
  return text;
}

void print_row(const Json& row) {
  std::string line = "  " + row.at("name").get<std::string>();
  constexpr size_t kNameWidth = 58;
  if (line.size() < kNameWidth) line.resize(kNameWidth, ' ');
  for (const auto& [key, value] : row.items())
    if (key != "name") line += "  " + key + " " + shown(value);
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

double Samples::median() const { return quantile(microseconds, 0.5); }

double Samples::spread_percent() const {
  const double middle = median();
  if (middle <= 0.0) return 0.0;
  return 100.0 * (quantile(microseconds, 0.75) - quantile(microseconds, 0.25)) / middle;
}

Report::Report(std::string_view part, double seconds) : part_(part), seconds_(seconds) {
  std::fprintf(stderr, "%s\n", part_.c_str());
}

double Report::seconds_since_start() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

bool Report::time_left() const { return seconds_since_start() < seconds_; }

void Report::row(const std::string& name, const std::function<Json()>& measure,
                 const std::function<bool()>& usable) {
  if (!time_left()) {
    ++rows_without_time_;
    not_measured_.push_back({{"name", name}, {"reason", "no time left"}});
    return;
  }
  Json row = {{"name", name}};
  try {
    row.update(measure());
  } catch (const DeviceError& error) {
    failed_ = true;
    row["error"] = error.what();
    rows_.push_back(row);
    print_row(row);
    if (!usable()) throw;
    return;
  }
  rows_.push_back(row);
  print_row(row);
}

void Report::not_measured(const std::string& name, const std::string& reason) {
  not_measured_.push_back({{"name", name}, {"reason", reason}});
  print_row({{"name", name}, {"not measured:", reason}});
}

void Report::set_error(const std::string& error) {
  failed_ = true;
  error_ = error;
  std::fprintf(stderr, "  %s: %s\n", part_.c_str(), error.c_str());
}

Json Report::finish() const {
  if (rows_without_time_ != 0)
    std::fprintf(stderr, "  %s: no time left for %zu rows; --seconds gives more\n", part_.c_str(),
                 rows_without_time_);
  Json json = {{"seconds", seconds_since_start()}};
  json.update(about_);
  json["rows"] = rows_;
  if (!not_measured_.empty()) json["not_measured"] = not_measured_;
  if (!error_.empty()) json["error"] = error_;
  return json;
}

Json time_fields(const Samples& samples) {
  Json fields = {{"us", samples.median()},
                 {"spread_percent", samples.spread_percent()},
                 {"repetitions", samples.microseconds.size()}};
  if (samples.waited_for_host) fields["waited_for_host"] = true;
  return fields;
}

}  // namespace elbo::calibrate
