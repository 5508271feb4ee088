// A row of the benchmark: a program on buffers of its own, made when its turn comes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/buffer.hpp"
#include "kernels/core/precision.hpp"

namespace elbo::bench {

/// What a row's rate is held against.
enum class Ceiling { copy_rate, matrix_product };

/// A program and what keeps its memory alive.
struct Work {
  Program program;
  std::shared_ptr<void> memory;
  /// To be run once on the device before the program is, where that needs it.
  std::function<void()> begin = [] {};
};

struct Row {
  std::string name;  // <op>/<variant>/<sizes>
  Ceiling ceiling = Ceiling::copy_rate;
  Precision precision = Precision::fp32;          // of its products
  int threads = 0;                                // 0: as many as the whole benchmark was given
  std::optional<DeviceKind> only = std::nullopt;  // the kind of device it is for; none: any
  /// The same program on the memory of any device, filled alike.
  std::function<Work(const std::shared_ptr<Device>&)> make = nullptr;
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
  Reals zeros(Format format, int64_t count);
  uint32_t* integers(int64_t count) { return allocate<uint32_t>(count); }
  /// `first`, first + 1, ...
  uint32_t* counting(int64_t count, uint32_t first = 0);
  /// Of 0 .. classes-1.
  int32_t* labels(int64_t count, int32_t classes);
  /// Uniform in [low, high).
  float* uniforms(int64_t count, float low, float high);
  Reals uniforms(Format format, int64_t count, float low, float high);
  uint8_t* bytes(int64_t count);
  /// The state of step 0 with `rows` inputs in its batch.
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

/// The row of an op made by `make(workspace)`.
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
