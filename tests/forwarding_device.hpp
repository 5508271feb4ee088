// A base for test devices: forwards every call to a CPU device. Tests override the calls that they
// observe or make fail.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "kernels/device.hpp"

namespace elbo {

class ForwardingDevice : public Device {
 public:
  DeviceKind kind() const noexcept override { return cpu_->kind(); }
  std::string describe() const override { return cpu_->describe(); }
  bool shares_host_memory() const noexcept override { return cpu_->shares_host_memory(); }
  void* allocate(size_t bytes, std::string_view purpose) override {
    return cpu_->allocate(bytes, purpose);
  }
  void release(void* memory) noexcept override { cpu_->release(memory); }
  void upload(void* to, const void* from, size_t bytes) override { cpu_->upload(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override {
    cpu_->download(to, from, bytes);
  }
  void fill_zero(void* memory, size_t bytes) override { cpu_->fill_zero(memory, bytes); }
  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    return cpu_->start_download(from, bytes);
  }
  std::unique_ptr<Executable> prepare(Program program) override {
    return cpu_->prepare(std::move(program));
  }
  void synchronize() override { cpu_->synchronize(); }

 private:
  std::shared_ptr<Device> cpu_ = make_cpu_device(1);
};

}  // namespace elbo
