#include "cuda_emulation/simulated_gpu/options.hpp"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

namespace elbo::cuda::simulated {
namespace {

template <class T>
T number(const std::string& value) {
  T result{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size())
    throw std::invalid_argument("'" + value + "' is not a number");
  return result;
}

void require_one_of(const std::string& value, const std::set<std::string>& names) {
  if (names.contains(value)) return;
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  throw std::invalid_argument("'" + value + "' is none of " + list);
}

template <class T>
T number_in_range(const std::string& value, T least, T most) {
  const T result = number<T>(value);
  if (result >= least && result <= most) return result;  // false for NaN
  std::ostringstream range;
  range << "got " << value << ", expected " << least << " to " << most;
  throw std::invalid_argument(range.str());
}

/// Returns `path` after checking that the file can be appended to.
std::string file(const std::string& path) {
  std::FILE* opened = std::fopen(path.c_str(), "a");
  if (opened == nullptr) throw std::invalid_argument("cannot write to '" + path + "'");
  std::fclose(opened);
  return path;
}

std::string refusals(const std::string& list) {
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');)
    require_one_of(name, {"ALL", "BGRADB", "BIAS", "DEFAULT", "DRELU", "RELU_AUX_BIAS", "RELU_BIAS",
                          "cuBLASLt", "cuDNN", "products", "products-in-capture"});
  return list;
}

Failure failure(std::string value) {
  Failure result;
  for (; value.ends_with('+') || value.ends_with('!'); value.pop_back())
    (value.back() == '+' ? result.onwards : result.lasting) = true;
  const size_t colon = value.find(':');
  if (colon == std::string::npos) throw std::invalid_argument("expected NAME:N");
  result.function = value.substr(0, colon);
  result.call =
      number_in_range<uint64_t>(value.substr(colon + 1), 1, std::numeric_limits<uint64_t>::max());
  if (result.function.empty()) throw std::invalid_argument("expected NAME:N");
  return result;
}

using Set = std::function<void(Options&, const std::string&)>;

template <class T>
Set as_number(T Options::*member, T least = 0, T most = std::numeric_limits<T>::max()) {
  return [=](Options& o, const std::string& value) {
    o.*member = number_in_range<T>(value, least, most);
  };
}
Set as_file(std::string Options::*member) {
  return [member](Options& o, const std::string& value) { o.*member = file(value); };
}
Set as_text(std::string Options::*member) {
  return [member](Options& o, const std::string& value) { o.*member = value; };
}
template <class T>
Set as_choice(T Options::*member, std::map<std::string, T> choices) {
  return [member, choices](Options& o, const std::string& value) {
    std::set<std::string> names;
    for (const auto& [name, unused] : choices) names.insert(name);
    require_one_of(value, names);
    o.*member = choices.at(value);
  };
}

const std::map<std::string, Set>& setters() {
  using Order = Options::Order;
  static const std::map<std::string, bool> kSwitch = {{"0", false}, {"1", true}};
  static const std::map<std::string, Set> all = {
      {"backtrace", as_choice(&Options::backtrace, kSwitch)},
      {"clock", as_number(&Options::clock, 1e-9, 1e9)},
      {"counts", as_file(&Options::counts)},
      {"edges", as_choice(&Options::all_programmatic, {{"all", true}, {"one", false}})},
      {"exit", as_number(&Options::exit_code, 0, 255)},
      {"fail", [](Options& o, const std::string& v) { o.failures.push_back(failure(v)); }},
      {"fastest", as_choice(&Options::fastest, {{"chain", std::string("chain")},
                                                {"branches", std::string("branches")},
                                                {"overlap", std::string("overlap")},
                                                {"both", std::string("both")}})},
      {"library", as_number(&Options::library_speed, 1e-9, 1e9)},
      {"memory", as_number(&Options::memory)},
      {"noise", as_number(&Options::noise, 0.0, 1e9)},
      {"order", as_choice(&Options::order, {{"latest", Order::kLatest},
                                            {"late", Order::kLate},
                                            {"random", Order::kRandom},
                                            {"eager", Order::kEager}})},
      {"pageable", as_choice(&Options::late_pageable, {{"late", true}, {"call", false}})},
      {"races", as_choice(&Options::races, kSwitch)},
      {"refuse", [](Options& o, const std::string& v) { o.refuse = refusals(v); }},
      {"report", as_file(&Options::report)},
      {"seed", as_number(&Options::seed)},
      {"trace", as_choice(&Options::trace, kSwitch)},
      {"trials", as_choice(&Options::quick_trials, {{"quick", true}, {"all", false}})},
      {"without_edge", as_number(&Options::without_edge)},
      {"without_event", as_number(&Options::without_event)},
      {"without_wait", as_text(&Options::without_wait)},
  };
  return all;
}

Options& current() {
  static auto* options = [] {  // never destroyed, because exit handlers read it
    const char* text = std::getenv("SIMULATED_GPU");
    try {
      return new Options(Options::parse(text == nullptr ? "" : text));
    } catch (const std::invalid_argument& error) {
      std::fprintf(stderr, "SIMULATED_GPU: %s\n", error.what());
      _exit(2);  // exit handlers would read the options
    }
  }();
  return *options;
}

// Reads the options when the library is loaded, so that a wrong one ends the process before any
// work.
[[maybe_unused]] const Options& at_start = current();

}  // namespace

const Options& Options::get() { return current(); }
void Options::set(const Options& options) { current() = options; }

Options Options::parse(const std::string& text) {
  Options options;
  std::set<std::string> given;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto setter = setters().find(name);
    if (setter == setters().end() || equals == std::string::npos) {
      std::string names;
      for (const auto& [known, unused] : setters()) names += " " + known + "=";
      throw std::invalid_argument("unknown option '" + word + "'; choose from" + names);
    }
    if (!given.insert(name).second && name != "fail")
      throw std::invalid_argument(name + " is given twice");
    try {
      setter->second(options, word.substr(equals + 1));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(name + ": " + error.what());
    }
  }
  return options;
}

}  // namespace elbo::cuda::simulated
