// The results of one part of the calibration: measured rows, rows that it had no time for, errors.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::calibrate {

using Json = nlohmann::ordered_json;

/// Repetitions of one measurement. `waited_for_host`: the GPU had to wait for the host in at least
/// one of them.
struct Samples {
  std::vector<double> microseconds;
  bool waited_for_host = false;

  double median() const;
  /// Returns the distance between the quartiles, in percent of the median.
  double spread_percent() const;
};

/// The rows of one part. Each row is printed on stderr when it is added, so that no measured row is
/// lost if the program is stopped.
class Report {
 public:
  /// `seconds`: the time budget, counted from now on, that time_left() checks.
  Report(std::string_view part, double seconds);

  bool time_left() const;
  /// Adds the row that `measure` returns under `name`. If `measure` throws DeviceError, the row
  /// contains the error instead; the error is thrown again only if `usable` returns false. If the
  /// time is up, the row is recorded as not measured.
  void row(const std::string& name, const std::function<Json()>& measure,
           const std::function<bool()>& usable);
  /// Records a row that was not measured, with the reason.
  void not_measured(const std::string& name, const std::string& reason);
  /// Records a value that belongs to the whole part.
  void set(const std::string& key, const Json& value) { about_[key] = value; }
  /// Marks the part as failed because a row contains a wrong result.
  void set_failed() { failed_ = true; }
  /// Records the error that ended the part before its last row.
  void set_error(const std::string& error);

  bool failed() const { return failed_; }
  /// Returns {"seconds", "rows", "not_measured", "error"} and the values of set(); "not_measured"
  /// and "error" only if they are not empty. Prints the number of rows that there was no time for.
  Json finish() const;

 private:
  double seconds_since_start() const;

  std::string part_;
  double seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool failed_ = false;
  size_t rows_without_time_ = 0;
  Json about_ = Json::object();
  Json rows_ = Json::array();
  Json not_measured_ = Json::array();
  std::string error_;
};

/// Returns {"us", "spread_percent", "repetitions"}, and "waited_for_host" if that happened.
Json time_fields(const Samples& samples);

}  // namespace elbo::calibrate
