// Tables of malformed and hostile input to the elbo program: the input, the exit status, and words
// of the message.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>

#include "tests/made_files.hpp"
#include "tests/program.hpp"

namespace elbo {

namespace fs = std::filesystem;
using namespace std::string_literals;
using Words = std::vector<std::string>;

inline constexpr int kUsage = 2;
inline constexpr int kData = 3;

struct Hostile {
  const char* name;
  std::map<std::string, std::string> files;  // "data/train.npy", and what is in it
  Words command;                             // after `elbo`, in the directory they lie in
  int code;
  Words words;  // of the message
};

inline const Words kInspect = {"inspect", "data"};
inline const Words kConfigured = {"train", "data", "--out", "out", "--config", "settings.toml"};
inline const Words kLoaded = {"evaluate", "model.safetensors", "data"};

class CliHostile : public testing::Test {
 protected:
  /// Runs every row in its own directory, with a time limit that detects hangs.
  static void expect_refused(const std::vector<Hostile>& rows) {
    for (const Hostile& row : rows) {
      SCOPED_TRACE(row.name);
      const TemporaryDirectory directory;
      ::setenv("XDG_CACHE_HOME", (directory / "cache").c_str(), 1);
      for (const auto& [name, content] : row.files) directory.write(name, content);
      Words command = row.command;
      for (std::string& word : command)
        if (fs::exists(directory / word) || word == "out") word = (directory / word).string();
      const auto start = std::chrono::steady_clock::now();
      expect_complaint(command, row.code, row.words);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
      EXPECT_FALSE(fs::exists(directory / "out"));
    }
  }
};

}  // namespace elbo
