// Errors about files: one line that starts with the path.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace elbo {

/// Throws DataError "PATH: WHAT", in one line for any path.
[[noreturn]] void fail_file(const std::filesystem::path& path, const std::string& what);

/// Throws DataError "PATH: cannot ACTION: REASON", with the reason of `error` (an errno).
[[noreturn]] void fail_system(const std::filesystem::path& path, std::string_view action,
                              int error);

/// The text with control characters as '?': names of files may contain line feeds and terminal
/// escape sequences.
std::string in_one_line(std::string text);

/// Text from a file, for a one-line message: in single quotes, unprintable bytes as '?', cut after
/// 80 characters.
std::string in_quotes(std::string_view text);

}  // namespace elbo
