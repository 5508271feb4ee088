// One libFuzzer program for all targets; the environment variable ELBO_FUZZ_TARGET names one.
// `--seeds DIRECTORY` writes its seeds there and ends, and `--targets` lists the names of all.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/inputs.hpp"

namespace {

void list_targets(std::FILE* file) {
  for (const auto* each : elbo::fuzz::kTargets)
    std::fprintf(file, "%s ", std::string(each->name).c_str());
  std::fprintf(file, "\n");
}

const elbo::fuzz::Target& chosen() {
  static const elbo::fuzz::Target& target = [&]() -> const elbo::fuzz::Target& {
    const char* name = std::getenv("ELBO_FUZZ_TARGET");
    for (const auto* each : elbo::fuzz::kTargets)
      if (name != nullptr && each->name == name) return *each;
    std::fprintf(stderr, "ELBO_FUZZ_TARGET is to be one of: ");
    list_targets(stderr);
    std::exit(2);
  }();
  return target;
}

void write_seeds(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  const std::vector<std::string> seeds = chosen().seeds();
  for (std::size_t i = 0; i < seeds.size(); ++i)
    std::ofstream(directory / ("seed-" + std::to_string(i)), std::ios::binary) << seeds[i];
}

}  // namespace

/// Adds the target's limits to libFuzzer's flags.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc == 2 && std::string_view((*argv)[1]) == "--targets") {
    list_targets(stdout);
    std::exit(0);
  }
  const elbo::fuzz::Target& target = chosen();
  if (*argc == 3 && std::string_view((*argv)[1]) == "--seeds") {
    write_seeds((*argv)[2]);
    std::exit(0);
  }
  static std::vector<std::string> flags = {"-max_len=" + std::to_string(target.largest),
                                           "-rss_limit_mb=1024", "-timeout=10"};
  static std::vector<char*> all(*argv, *argv + *argc);
  for (std::string& flag : flags) all.insert(all.begin() + 1, flag.data());
  *argc = static_cast<int>(all.size());
  all.push_back(nullptr);
  *argv = all.data();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  elbo::fuzz::check(chosen(), std::as_bytes(std::span(data, size)));
  return 0;
}
