// Runs every parser on its seeds, on inputs that broke it once, and on mutations of both: short
// fuzzing for machines without libFuzzer.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

namespace fs = std::filesystem;

class Replay : public testing::TestWithParam<const Target*> {
 protected:
  static const Target& target() { return *GetParam(); }

  static void check_input(const std::string& input) {
    const std::clock_t start = std::clock();
    EXPECT_NO_THROW(check(target(), bytes_of(input)));
    EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
  }

  /// Files in the folder of the target's name.
  static std::vector<std::string> regressions() {
    std::vector<std::string> all;
    std::error_code none;
    const fs::path folder = fs::path(ELBO_TEST_SOURCE_DIR) / "regressions" / target().name;
    for (fs::directory_iterator it(folder, none), end; !none && it != end; it.increment(none)) {
      std::ifstream file(it->path(), std::ios::binary);
      all.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return all;
  }
};

TEST_P(Replay, Seeds) {
  const std::vector<std::string> seeds = target().seeds();
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    SCOPED_TRACE("seed " + std::to_string(i));
    check_input(seeds[i]);
  }
}

/// The first seed is valid, because a target that rejects every input proves nothing.
TEST_P(Replay, FirstSeedIsTaken) {
  EXPECT_NO_THROW(target().parse(bytes_of(target().seeds().front())));
}

TEST_P(Replay, Regressions) {
  for (const std::string& input : regressions()) check_input(input);
}

TEST_P(Replay, ChangedSeeds) {
  std::vector<std::string> inputs = target().seeds();
  std::ranges::move(regressions(), std::back_inserter(inputs));
  std::erase_if(inputs, [](const std::string& input) {
    return input.empty() || input.size() > 2 * target().largest;
  });
  std::uint32_t state = 1;
  const auto draw = [&](std::size_t count) {
    state = state * 1664525u + 1013904223u;
    return static_cast<std::size_t>((std::uint64_t{state} * count) >> 32);
  };
  for (int i = 0; i < 500; ++i) {
    std::string input = inputs[draw(inputs.size())];
    for (std::size_t changes = draw(4); changes > 0; --changes)
      input[draw(input.size())] = "\0\1\377\177\200{[(,.9"[draw(12)];
    if (draw(3) == 0) input.resize(draw(input.size()));
    SCOPED_TRACE("change " + std::to_string(i));
    check_input(input);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Parsers, Replay, testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param->name); });

}  // namespace
}  // namespace elbo::fuzz
