// The kernels are compiled once here; the other instruction sets' names mean the same build.
#include "kernels/cpu/execution.hpp"

namespace elbo::cpu {

namespace baseline {
extern const Execution execution;
}
namespace avx2 {
extern const Execution execution;
const Execution execution = baseline::execution;
}  // namespace avx2
namespace avx512 {
extern const Execution execution;
const Execution execution = baseline::execution;
}  // namespace avx512

}  // namespace elbo::cpu
