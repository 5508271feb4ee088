// A row of the benchmark: a program on buffers of its own, made when its turn comes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/buffer.hpp"

namespace elbo::bench {

/// What a row's rate is held against.
enum class Ceiling { copy_rate, matrix_product };

/// A program and what keeps its memory alive.
struct Work {
  Program program;
  std::shared_ptr<void> memory;
};

struct Row {
  std::string name;  // <op>/<variant>/<sizes>
  Ceiling ceiling = Ceiling::copy_rate;
  int threads = 0;  // 0: as many as the whole benchmark was given
  std::function<Work(const std::shared_ptr<Device>&)> make;
};

using Rows = std::vector<Row>;

/// The rows of one op of the list. Defined for every op; one without rows does not link.
template <class O>
void add_rows(Rows& rows);

/// The rows of whole training steps.
void add_step_rows(Rows& rows);

/// Every op's rows, in the order of the list, then whole training steps.
Rows all_rows();

/// Memory for a row, filled with numbers that depend on nothing but their place.
class Workspace {
 public:
  explicit Workspace(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  float* zeros(int64_t count) { return allocate<float>(count); }
  uint32_t* integers(int64_t count) { return allocate<uint32_t>(count); }
  /// Uniform in [low, high).
  float* uniforms(int64_t count, float low, float high);
  uint8_t* bytes(int64_t count);
  /// The state of step 0 with `rows` inputs in its batch.
  StepState* state(int32_t rows);
  template <class T>
  T* allocate(int64_t count) {
    buffers_.push_back(
        std::make_shared<Buffer<T>>(device_, static_cast<size_t>(count), "a benchmark"));
    return static_cast<Buffer<T>*>(buffers_.back().get())->data();
  }

 private:
  std::shared_ptr<Device> device_;
  std::vector<std::shared_ptr<void>> buffers_;
};

/// The row of an op made by `make(workspace)`.
template <class Make>
Row op_row(std::string name, Ceiling ceiling, Make make) {
  return {std::move(name), ceiling, 0, [make](const std::shared_ptr<Device>& device) {
            auto workspace = std::make_shared<Workspace>(device);
            Program program = {make(*workspace)};
            return Work{std::move(program), std::move(workspace)};
          }};
}

}  // namespace elbo::bench
