// Point (e): compares normal numbers of the GPU with the CPU's bit by bit, and measures the GPU's
// rate.
#include <algorithm>
#include <cstring>

#include "bench/calibrate/gpu.cuh"
#include "bench/calibrate/parts.hpp"
#include "kernels/buffer.hpp"

namespace elbo::calibrate {
namespace {

constexpr int64_t kCompared = int64_t{1} << 24;
constexpr int64_t kTimed = int64_t{1} << 27;  // 512 MiB, beyond the L2 cache
constexpr uint64_t kSeed = 20240607;
constexpr uint64_t kSubsequence = 3;

RandomFill normals(int64_t count, void* out) {
  return {.distribution = Distribution::normal,
          .seed = kSeed,
          .subsequence = kSubsequence,
          .count = count,
          .out = out};
}

std::vector<uint32_t> draw(const std::shared_ptr<Device>& device) {
  const Buffer<uint32_t> out(device, kCompared, "normals");
  device->run({normals(kCompared, out.data())});
  return out.download();
}

/// Returns the 64-bit FNV-1a hash of the bytes of the values.
uint64_t fnv1a(const std::vector<uint32_t>& values) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const uint32_t value : values)
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ (value >> shift & 0xffu)) * 0x100000001b3u;
  return hash;
}

std::string hexadecimal(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

Json compare(const std::shared_ptr<Device>& gpu_device) {
  const std::vector<uint32_t> on_gpu = draw(gpu_device), on_cpu = draw(make_cpu_device());
  int64_t different = 0;
  for (size_t i = 0; i < on_gpu.size(); ++i) different += on_gpu[i] != on_cpu[i];
  Json fields = {{"count", kCompared},
                 {"seed", kSeed},
                 {"subsequence", kSubsequence},
                 {"gpu_fnv1a", hexadecimal(fnv1a(on_gpu))},
                 {"cpu_fnv1a", hexadecimal(fnv1a(on_cpu))},
                 {"different", different},
                 {"equal", different == 0}};
  if (different != 0) {
    const auto [gpu_at, cpu_at] = std::mismatch(on_gpu.begin(), on_gpu.end(), on_cpu.begin());
    fields["first_difference"] = gpu_at - on_gpu.begin();
    fields["gpu_bits"] = hexadecimal(*gpu_at);
    fields["cpu_bits"] = hexadecimal(*cpu_at);
  }
  return fields;
}

/// Measures by the host's clock and waits for the device after each sample, because a Device does
/// not expose its stream. The wait takes microseconds, the runs of a sample take milliseconds.
Json measure_rate(const std::shared_ptr<Device>& device) {
  constexpr uint64_t kRuns = 32;
  const Buffer<float> out(device, kTimed, "normals");
  const std::unique_ptr<Executable> executable = device->prepare({normals(kTimed, out.data())});
  executable->run(kRuns);
  device->synchronize();
  Samples samples;
  for (int i = 0; i < kRepetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    executable->run(kRuns);
    device->synchronize();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    samples.microseconds.push_back(took.count() / kRuns);
  }
  Json fields = {{"count", kTimed}};
  fields.update(time_fields(samples));
  fields["normals_per_s"] = 1e6 * static_cast<double>(kTimed) / samples.median();
  fields["gb_per_s"] = 4e-3 * static_cast<double>(kTimed) / samples.median();
  return fields;
}

}  // namespace

void run_noise(const Gpu& gpu, Report& report) {
  const auto usable = [&] { return gpu.usable(); };
  const std::shared_ptr<Device> device = make_cuda_device();
  report.row(
      "normals/bits",
      [&] {
        const Json fields = compare(device);
        if (!fields.at("equal")) report.set_failed();
        return fields;
      },
      usable);
  report.row(
      "normals/rate", [&] { return measure_rate(device); }, usable);
}

}  // namespace elbo::calibrate
