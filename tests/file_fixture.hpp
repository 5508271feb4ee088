// Shared by tests of files: a temporary directory that removes itself, raw reading and writing, and
// a check of an error's type and message.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace elbo {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "elbo-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  /// Writes `bytes` unchanged to a file, creating its parent directories, and returns its path.
  std::filesystem::path write(std::string_view name, std::string_view bytes) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A malformed file: its content, and the words that the error must contain.
struct Malformed {
  const char* name;
  std::string bytes;
  std::vector<const char*> words;
};

/// Expects `action` to throw exactly `Error` with a one-line message that contains every word.
template <class Error, class Action>
void expect_error(Action&& action, std::initializer_list<std::string_view> words) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown; expected a message with '" << *words.begin() << "'";
  } catch (const std::exception& error) {
    const std::string message = error.what();
    EXPECT_EQ(typeid(error), typeid(Error)) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (std::string_view word : words) {
      EXPECT_NE(message.find(word), std::string::npos) << "'" << word << "' not in: " << message;
    }
  }
}

}  // namespace elbo
