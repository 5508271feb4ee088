// What reads settings from flags and from TOML shares.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// Throws ConfigError: "key: got 'got', want want".
[[noreturn]] void reject_value(std::string_view key, std::string_view got, std::string_view want);
/// Throws ConfigError: `source` has a setting that is none, and which one it may have meant.
[[noreturn]] void reject_key(std::string_view key, const std::string& source);

/// Numbers with commas between them.
void parse_setting(std::string_view key, std::string_view text, std::vector<int64_t>& out);
void parse_setting(std::string_view key, std::string_view text, std::vector<double>& out);

}  // namespace elbo
