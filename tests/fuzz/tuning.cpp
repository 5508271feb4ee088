#include "kernels/cuda/tuning.hpp"

#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

void parse(Bytes input) {
  const MemoryFile file(input);
  cuda::TuningFile tuning(file.path());
  tuning.find("gemm");
}

std::vector<std::string> seeds() {
  return {"gemm\tcublas 3\tmasked\t12.5 3.25 1e30\n", "a\t\t\t1 2 3\n\tb\tc\t1 2 3\n",
          "a\tb\tc\tnan inf -1\n"};
}

}  // namespace

const Target kTuning = {"tuning", 2048, 64, 1 << 16, parse, seeds};

}  // namespace elbo::fuzz
