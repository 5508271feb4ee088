// How errors about files are worded: one line that starts with the path.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace elbo {

/// Throws DataError "PATH: WHAT", in one line whatever the path is.
[[noreturn]] void fail_file(const std::filesystem::path& path, const std::string& what);

/// Throws DataError "PATH: cannot ACTION: REASON", the reason being that of `error` (an errno).
[[noreturn]] void fail_system(const std::filesystem::path& path, std::string_view action,
                              int error);

/// The text with control characters as '?': names of files may hold line feeds, and sequences that
/// terminals obey.
std::string in_one_line(std::string text);

/// Text taken from a file, made fit for a one-line message: in single quotes, unprintable bytes
/// as '?', cut after 80 characters.
std::string in_quotes(std::string_view text);

}  // namespace elbo
