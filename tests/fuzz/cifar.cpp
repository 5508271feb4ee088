#include "host/data/dataset.hpp"
#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

constexpr std::size_t kRecord = 1 + 32 * 32 * 3;

void parse(Bytes input) {
  const Scratch scratch;
  scratch.write("data_batch_1.bin", input);
  const Dataset data = Dataset::open(
      scratch.path(), {.validation_fraction = 0, .images = {.cache = scratch.path() / "cache"}});
  if (data.split("train").size() != static_cast<std::int64_t>(input.size() / kRecord))
    throw std::logic_error("rows that are not there");
}

std::vector<std::string> seeds() {
  return {std::string(kRecord, '\1'), std::string(2 * kRecord, '\11'), std::string(kRecord, '\12'),
          std::string(kRecord + 1, '\1'), ""};
}

}  // namespace

const Target kCifar = {"cifar", 3 * kRecord, 16, 1 << 20, parse, seeds};

}  // namespace elbo::fuzz
