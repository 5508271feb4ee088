// A row of the benchmark: a program and its own buffers, which are allocated just before it runs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/buffer.hpp"
#include "kernels/core/precision.hpp"

namespace elbo::bench {

/// The measured peak that a row's rate is compared with.
enum class Ceiling { copy_rate, matrix_product };

/// A program and the owner of its memory.
struct Work {
  Program program;
  std::shared_ptr<void> memory;
  /// Runs once on the device, before the program, to prepare its inputs.
  std::function<void()> begin = [] {};
};

struct Row {
  std::string name;  // <op>/<variant>/<sizes>
  Ceiling ceiling = Ceiling::copy_rate;
  Precision precision = Precision::fp32;          // of its matrix products
  int threads = 0;                                // 0: the number of the whole benchmark
  std::optional<DeviceKind> only = std::nullopt;  // the only kind of device it runs on; none: any
  /// Returns the program with memory of the given device. The initial contents are equal on all
  /// devices.
  std::function<Work(const std::shared_ptr<Device>&)> make = nullptr;
};

using Rows = std::vector<Row>;

/// Adds the rows of one op. It is specialised for every op of the list: an op without rows does not
/// link.
template <class O>
void add_rows(Rows& rows);

/// Adds the rows of whole training steps.
void add_step_rows(Rows& rows);

/// Returns the rows of every op, in the order of the list, then those of whole training steps.
Rows all_rows();

/// Allocates the memory of a row and fills it with numbers that depend only on their index.
class Workspace {
 public:
  explicit Workspace(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  float* zeros(int64_t count) { return allocate<float>(count); }
  Reals zeros(Format format, int64_t count);
  uint32_t* integers(int64_t count) { return allocate<uint32_t>(count); }
  /// Returns first, first + 1, ...
  uint32_t* counting(int64_t count, uint32_t first = 0);
  /// Returns random labels in [0, classes).
  int32_t* labels(int64_t count, int32_t classes);
  /// Returns random numbers, uniform in [low, high).
  float* uniforms(int64_t count, float low, float high);
  Reals uniforms(Format format, int64_t count, float low, float high);
  uint8_t* bytes(int64_t count);
  /// Returns the state of step 0 with `rows` inputs in its batch.
  StepState* state(int32_t rows);

 private:
  template <class T>
  T* allocate(int64_t count) {
    return add(Buffer<T>(device_, static_cast<size_t>(count), "a benchmark"));
  }
  template <class T>
  T* put(const std::vector<T>& values) {
    Buffer<T> buffer(device_, values.size(), "a benchmark");
    buffer.upload(values);
    return add(std::move(buffer));
  }
  template <class T>
  T* add(Buffer<T> buffer) {
    auto kept = std::make_shared<Buffer<T>>(std::move(buffer));
    buffers_.push_back(kept);
    return kept->data();
  }

  std::shared_ptr<Device> device_;
  std::vector<std::shared_ptr<void>> buffers_;
};

/// Returns the row of the op that `make(workspace)` returns.
template <class Make>
Row op_row(std::string name, Ceiling ceiling, Make make) {
  return {.name = std::move(name),
          .ceiling = ceiling,
          .make = [make](const std::shared_ptr<Device>& device) {
            auto workspace = std::make_shared<Workspace>(device);
            Program program = {make(*workspace)};
            return Work{std::move(program), std::move(workspace)};
          }};
}

}  // namespace elbo::bench
