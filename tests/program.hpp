// Runs the elbo program as a user does, and checks its output.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "host/io/npy.hpp"
#include "tests/file_fixture.hpp"
#include "tests/paths.hpp"

namespace elbo {

struct Outcome {
  int code = -1;  // exit status; -1: ended by a signal
  std::string out, err;
};

/// Runs `elbo arguments...` and waits for it.
inline Outcome run_elbo(const std::vector<std::string>& arguments) {
  const TemporaryDirectory streams;
  const std::string out = (streams / "out").string(), err = (streams / "err").string();
  std::vector<char*> argv;
  std::string program = kElboProgram;
  argv.push_back(program.data());
  std::vector<std::string> words = arguments;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), flags, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), flags, 0600);
  pid_t child = 0;
  const int failed = posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot start " + program);
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(out), read_bytes(err)};
}

/// Expects success and silence on standard error; returns the output.
inline std::string expect_done(const std::vector<std::string>& arguments) {
  const Outcome outcome = run_elbo(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  return outcome.out;
}

/// Expects success and one note on standard error for each of `notes`, in this order.
inline std::string expect_notes(const std::vector<std::string>& arguments,
                                const std::vector<std::string>& notes) {
  const Outcome outcome = run_elbo(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::string lines;
  for (const std::string& note : notes) lines += "elbo: note: " + note + "\n";
  EXPECT_EQ(outcome.err, lines);
  return outcome.out;
}

/// Expects exit status `code`, nothing printed but what the data set contains, and one line of
/// complaint with every word in it.
inline void expect_complaint(const std::vector<std::string>& arguments, int code,
                             const std::vector<std::string>& words) {
  const Outcome outcome = run_elbo(arguments);
  std::string command = "elbo";
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  SCOPED_TRACE(command);
  EXPECT_EQ(outcome.code, code) << outcome.err;
  const std::string_view first = std::string_view(outcome.out).substr(0, outcome.out.find('\n'));
  if (first.find(" to train on") == std::string_view::npos ||
      first.size() + 1 != outcome.out.size()) {
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("elbo: ") && outcome.err.ends_with('\n')) << outcome.err;
  for (const std::string& word : words)
    EXPECT_NE(outcome.err.find(word), std::string::npos)
        << "'" << word << "' not in: " << outcome.err;
}

/// Rows of 2 x 3 values between 0 and 1, or those times 255 as bytes, as train.npy and test.npy in
/// directory `name`.
inline std::string make_dataset(const TemporaryDirectory& directory, std::string_view name,
                                int64_t width = 3, bool bytes = false) {
  const std::filesystem::path data = directory / name;
  std::filesystem::create_directory(data);
  for (const auto& [split, count] : {std::pair{"train.npy", 24}, std::pair{"test.npy", 6}}) {
    std::vector<float> rows(static_cast<size_t>(count * 2 * width));
    for (size_t i = 0; i < rows.size(); ++i)
      rows[i] = static_cast<float>((7 * i + i / 5) % 11) / 11;
    if (bytes) {
      std::vector<uint8_t> values(rows.size());
      std::ranges::transform(rows, values.begin(),
                             [](float v) { return static_cast<uint8_t>(255 * v); });
      write_npy(data / split, {count, 2, width}, values);
    } else {
      write_npy(data / split, {count, 2, width}, rows);
    }
    std::vector<int32_t> labels(static_cast<size_t>(count));
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % 3);
    const std::string stem = std::filesystem::path(split).stem();
    write_npy(data / (stem + "_labels.npy"), {count}, labels);
  }
  return data.string();
}

/// A training that takes no time.
inline std::vector<std::string> tiny_training(const std::string& data, const std::string& run,
                                              const std::string& epochs = "2") {
  return {"train",
          data,
          "--out",
          run,
          "--hidden",
          "4",
          "--latent-dim",
          "2",
          "--epochs",
          epochs,
          "--batch-size",
          "8",
          "--threads",
          "1",
          "--device",
          "cpu",
          "--picture-count",
          "4",
          "--metrics-interval",
          "2"};
}

inline std::vector<std::string> operator+(std::vector<std::string> left,
                                          const std::vector<std::string>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace elbo
