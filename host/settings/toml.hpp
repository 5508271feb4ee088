// Reads and writes settings as TOML.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/settings/text.hpp"
#include "kernels/core/error.hpp"

namespace elbo {

/// The keys and values of a TOML text.
class TomlSettings {
 public:
  /// `source` names the text in errors. Throws ConfigError if the syntax is wrong or the text too
  /// long.
  TomlSettings(std::string_view text, std::string source);
  ~TomlSettings();

  const std::string& source() const { return source_; }
  const std::vector<std::string>& keys() const { return keys_; }  // in alphabetical order
  bool has(std::string_view key) const;

  /// Sets `out` to the value of a key, which must exist. Throws ConfigError if the value has
  /// another type.
  void read(std::string_view key, bool& out) const;
  void read(std::string_view key, int64_t& out) const;
  void read(std::string_view key, double& out) const;
  void read(std::string_view key, std::string& out) const;
  void read(std::string_view key, std::vector<int64_t>& out) const;
  void read(std::string_view key, std::vector<double>& out) const;
  template <Choosable T>
  void read(std::string_view key, T& out) const {
    std::string name;
    read(key, name);
    read_text(key, name, out);
  }

  /// Calls `f`. If `f` throws a ConfigError, throws one that names the source too.
  template <class F>
  void name_source(F&& f) const {
    try {
      f();
    } catch (const ConfigError& error) {
      fail(error.what());
    }
  }

 private:
  struct Table;
  [[noreturn]] void fail(const char* message) const;
  std::string source_;
  std::unique_ptr<Table> table_;
  std::vector<std::string> keys_;
};

/// Reads a file of settings. Throws ConfigError if the file cannot be read.
TomlSettings toml_file(const std::filesystem::path& path);

/// Returns a value as TOML.
std::string toml_of(bool value);
std::string toml_of(int64_t value);
std::string toml_of(double value);
std::string toml_of(std::string_view value);
std::string toml_of(const std::vector<int64_t>& values);
std::string toml_of(const std::vector<double>& values);
template <Choosable T>
std::string toml_of(const T& value) {
  return toml_of(name_of(value));
}

}  // namespace elbo
