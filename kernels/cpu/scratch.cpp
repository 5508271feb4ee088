#include "kernels/cpu/scratch.hpp"

#include <array>
#include <cstdlib>
#include <string>

#include "kernels/core/error.hpp"

namespace elbo::cpu {

float* thread_scratch(Scratch whose, int64_t count) {
  struct Memory {
    ~Memory() { std::free(data); }
    float* data = nullptr;
    int64_t size = 0;
  };
  thread_local std::array<Memory, 3> memories;
  Memory& memory = memories[static_cast<size_t>(whose)];
  if (memory.size < count) {
    std::free(memory.data);
    memory.size = (count + 15) / 16 * 16;
    memory.data = static_cast<float*>(
        std::aligned_alloc(64, static_cast<size_t>(memory.size) * sizeof(float)));
    if (memory.data == nullptr) {
      memory.size = 0;
      throw DeviceError("out of memory: a layer's scratch needs " +
                        std::to_string((count + (1 << 18) - 1) >> 18) + " MiB");
    }
  }
  return memory.data;
}

}  // namespace elbo::cpu
