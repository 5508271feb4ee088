// What a part of the calibration found: rows of numbers, the rows it had no time for, and errors.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::calibrate {

using Json = nlohmann::ordered_json;

/// Repetitions of one measurement, and whether the GPU ever had to wait for the host in them.
struct Samples {
  std::vector<double> microseconds;
  bool waited_for_host = false;

  double median() const;
  /// Distance between the quartiles, in percent of the median.
  double spread_percent() const;
};

/// One part's rows. Every row is printed on stderr when it is added, so that a program that is
/// stopped has still said what it knew.
class Report {
 public:
  /// `seconds`: the budget that time_left() watches, from now on.
  Report(std::string_view part, double seconds);

  bool time_left() const;
  /// Adds the row that `measure` returns under `name`. Where the GPU refuses (DeviceError) the row
  /// holds the error, and the error is thrown on only if `usable` says that the GPU is lost.
  /// Rows that have no time left are noted as not measured.
  void row(const std::string& name, const std::function<Json()>& measure,
           const std::function<bool()>& usable);
  /// Notes a row that was not measured, and why.
  void not_measured(const std::string& name, const std::string& reason);
  /// Notes something about the whole part.
  void set(const std::string& key, const Json& value) { about_[key] = value; }
  /// Notes that a result is wrong, which its row says.
  void set_failed() { failed_ = true; }
  /// Notes what ended the part before its last row.
  void set_error(const std::string& error);

  bool failed() const { return failed_; }
  /// {"seconds", "rows", "not_measured", "error"} and what was set; the last two where there is
  /// something to say. Prints how many rows there was no time for.
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

/// {"us", "spread_percent", "repetitions"}, and "waited_for_host" where that happened.
Json time_fields(const Samples& samples);

}  // namespace elbo::calibrate
