#include "bench/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bench/reference.hpp"
#include "kernels/core/error.hpp"

namespace elbo::bench {
namespace {

using reference::Output;
using Outputs = std::vector<Output>;
using Bytes = std::vector<std::byte>;

std::byte* bytes_at(uintptr_t address) { return reinterpret_cast<std::byte*>(address); }

/// The arrays of one op, on the device and, for the reference, on the host.
class Twins {
 public:
  Twins(Device& device, const Op& op, const Op& image)
      : device_(device),
        image_(image),
        on_device_(accesses_of(op).items()),
        on_host_(accesses_of(image).items()) {
    ELBO_ASSERT(op.index() == image.index() && on_device_.size() == on_host_.size());
  }

  const Op& image() const { return image_; }
  /// Copies the contents of the device's arrays to the host's arrays.
  void copy_to_host() const {
    for (size_t i = 0; i < on_host_.size(); ++i)
      device_.download(bytes_at(on_host_[i].begin), bytes_at(on_device_[i].begin),
                       on_host_[i].end - on_host_[i].begin);
  }
  Bytes download(const Output& output) const {
    Bytes content(output.bytes());
    device_.download(content.data(), twin(output), content.size());
    return content;
  }
  void upload(const Output& output, const Bytes& content) const {
    device_.upload(twin(output), content.data(), content.size());
  }

 private:
  /// Returns the device address of an output on the host: the same offset into the same access.
  std::byte* twin(const Output& output) const {
    const auto place = reinterpret_cast<uintptr_t>(output.data);
    for (size_t i = 0; i < on_host_.size(); ++i)
      if (on_host_[i].begin <= place && place + output.bytes() <= on_host_[i].end)
        return bytes_at(on_device_[i].begin + (place - on_host_[i].begin));
    throw InternalError(std::string(name_of(image_)) + " writes " + std::string(output.name) +
                        " outside of its accesses");
  }

  Device& device_;
  const Op& image_;
  std::vector<Access> on_device_, on_host_;
};

Bytes host_content(const Output& output) {
  const auto* data = static_cast<const std::byte*>(output.data);
  return {data, data + output.bytes()};
}

std::string place(const Output& output, int64_t element) {
  return std::string(output.name) + "[" + std::to_string(element) + "] ";
}

template <class T>
T element(const Bytes& bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

template <class T>
std::optional<std::string> difference_in_bits(const Output& output, const Bytes& got,
                                              const Bytes& want) {
  for (int64_t i = 0; i < output.count; ++i)
    if (const T g = element<T>(got, i), w = element<T>(want, i); g != w)
      return place(output, i) + "has bits " + std::to_string(g) + ", the reference " +
             std::to_string(w);
  return std::nullopt;
}

template <class T>
std::optional<std::string> difference_in_size(const Output& output, const Bytes& got,
                                              const Bytes& want) {
  float largest = 0.0f;
  for (int64_t i = 0; i < output.count; ++i)
    largest = std::max(largest, std::abs(math::to_float(element<T>(want, i))));
  const double bound = output.roundings * 0x1p-24 * largest + output.slack;
  for (int64_t i = 0; i < output.count; ++i) {
    const float g = math::to_float(element<T>(got, i)), w = math::to_float(element<T>(want, i));
    if (std::abs(static_cast<double>(g) - w) <= bound) continue;  // false if either is NaN
    return place(output, i) + "is " + std::to_string(g) + ", the reference " + std::to_string(w) +
           ", more than " + std::to_string(bound) + " apart";
  }
  return std::nullopt;
}

std::optional<std::string> difference_of(const Output& output, const Bytes& got,
                                         const Bytes& want) {
  const bool words = output.format == Format::f32;
  if (output.roundings == 0.0)
    return words ? difference_in_bits<uint32_t>(output, got, want)
                 : difference_in_bits<uint16_t>(output, got, want);
  return words ? difference_in_size<float>(output, got, want)
               : difference_in_size<math::Bfloat16>(output, got, want);
}

/// Runs one op on the device and in the reference, and compares all of its outputs.
std::optional<std::string> difference_of(Device& device, const Op& op, const Twins& twins) {
  const Outputs outputs = reference::outputs(twins.image());
  device.run({op});
  reference::run(twins.image());
  std::vector<Bytes> got;
  for (const Output& output : outputs) {
    got.push_back(twins.download(output));
    if (const auto differs = difference_of(output, got.back(), host_content(output)))
      return std::string(name_of(op)) + ": " + *differs;
  }
  // The next op must read the device's results. Outputs may overlap, so copy them only after all
  // of them have been compared.
  for (size_t i = 0; i < outputs.size(); ++i)
    std::memcpy(outputs[i].data, got[i].data(), got[i].size());
  return std::nullopt;
}

/// Every array that a program writes, with the op that writes it.
class Written {
 public:
  explicit Written(const std::vector<Twins>& twins) {
    for (const Twins& op : twins)
      for (const Output& output : reference::outputs(op.image())) arrays_.push_back({&op, output});
  }
  std::vector<Bytes> download() const {
    std::vector<Bytes> contents;
    for (const Array& array : arrays_) contents.push_back(array.op->download(array.output));
    return contents;
  }
  void upload(const std::vector<Bytes>& contents) const {
    for (size_t i = 0; i < arrays_.size(); ++i)
      arrays_[i].op->upload(arrays_[i].output, contents[i]);
  }
  std::string name(size_t i) const { return std::string(arrays_[i].output.name); }
  /// True if a run of the whole program may leave array `i` unwritten, because a device may fuse
  /// the op that computes a gradient with the update that reads it. `image` is the program in host
  /// memory.
  bool may_stay(size_t i, const Program& image) const {
    const auto* begin = static_cast<const float*>(arrays_[i].output.data);
    return std::ranges::any_of(image, [&](const Op& op) {
      const auto* update = std::get_if<OptimizerUpdate>(&op);
      return update != nullptr && update->only_reader && begin >= update->grad &&
             begin + arrays_[i].output.count <= update->grad + update->count;
    });
  }

 private:
  struct Array {
    const Twins* op;
    Output output;
  };
  std::vector<Array> arrays_;
};

}  // namespace

std::optional<std::string> difference(Device& device, const Program& program,
                                      const Program& image) {
  ELBO_ASSERT(program.size() == image.size());
  std::vector<Twins> twins;
  for (size_t i = 0; i < program.size(); ++i) twins.emplace_back(device, program[i], image[i]);
  for (const Twins& op : twins) op.copy_to_host();
  const bool several = program.size() > 1;
  const Written written(twins);
  const std::vector<Bytes> before = several ? written.download() : std::vector<Bytes>{};

  for (size_t i = 0; i < program.size(); ++i)
    if (const auto differs = difference_of(device, program[i], twins[i])) return differs;
  if (!several) return std::nullopt;

  std::vector<Bytes> wanted = written.download();
  const auto run_whole = [&] {
    written.upload(before);
    device.run(program);
    return written.download();
  };
  if (device.kind() == DeviceKind::cuda) wanted = run_whole();
  const std::vector<Bytes> whole = run_whole();
  for (size_t i = 0; i < whole.size(); ++i)
    if (whole[i] != wanted[i] && !(written.may_stay(i, image) && whole[i] == before[i]))
      return written.name(i) + (device.kind() == DeviceKind::cuda
                                    ? " differs between two runs of the program"
                                    : " differs between the program run whole and op by op");
  return std::nullopt;
}

}  // namespace elbo::bench
