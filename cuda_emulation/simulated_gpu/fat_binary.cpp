// The functions that nvcc's host code calls before main to register the kernels of the program's
// fat binaries.
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "cuda_emulation/simulated_gpu/call.hpp"
#include "cuda_emulation/simulated_gpu/functions.hpp"

namespace elbo::cuda::simulated {
namespace {

// These structures have the layout that nvcc writes.
struct Wrapper {
  uint32_t magic, version;
  const std::byte* data;
  const void* file;
};
struct Header {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;
};
struct Code {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t payload_bytes;
  uint32_t compressed_bytes, options;
  uint16_t minor, major;
  uint32_t architecture, name_offset, name_bytes;
  uint64_t flags, zero, uncompressed_bytes;
};
static_assert(sizeof(Code) == 64);

constexpr uint32_t kMagic = 0xba55ed50;
constexpr uint16_t kPtx = 1;
constexpr uint64_t kZstd = 0x8000, kLz4 = 0x2000;
constexpr uint32_t kArchitecture = 90;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "simulated GPU: %s\n", why.c_str());
  std::exit(1);
}

std::string decompressed(const std::byte* from, size_t bytes, size_t whole) {
  void* library = dlopen("libzstd.so.1", RTLD_NOW);
  using Decompress = size_t (*)(void*, size_t, const void*, size_t);
  const auto decompress = library == nullptr
                              ? nullptr
                              : reinterpret_cast<Decompress>(dlsym(library, "ZSTD_decompress"));
  if (decompress == nullptr)
    give_up(
        "the PTX is compressed and libzstd.so.1 was not found; install it, or compile with "
        "nvcc --no-compress");
  std::string text(whole, '\0');
  if (decompress(text.data(), whole, from, bytes) != whole)
    give_up("the PTX of a fat binary cannot be decompressed");
  return text;
}

std::string ptx_of(const Code& code, const std::byte* payload) {
  if ((code.flags & kLz4) != 0)
    give_up("the PTX is compressed by LZ4; compile with nvcc --no-compress");
  std::string text = (code.flags & kZstd) != 0
                         ? decompressed(payload, code.compressed_bytes, code.uncompressed_bytes)
                         : std::string(reinterpret_cast<const char*>(payload), code.payload_bytes);
  text.resize(std::strlen(text.c_str()));  // removes padding
  return text;
}

/// Adds the PTX for the newest architecture that the simulated GPU supports.
void load(const std::byte* data) {
  Header header;
  std::memcpy(&header, data, sizeof header);
  if (header.magic != kMagic) give_up("a fat binary of an unknown format");
  const std::byte* at = data + header.header_bytes;
  const std::byte* end = at + header.bytes;
  Code best{};
  const std::byte* best_payload = nullptr;
  while (at < end) {
    Code code;
    std::memcpy(&code, at, sizeof code);
    const std::byte* payload = at + code.header_bytes;
    if (code.kind == kPtx && code.architecture <= kArchitecture &&
        code.architecture > best.architecture) {
      best = code;
      best_payload = payload;
    }
    at = payload + code.payload_bytes;
  }
  if (best_payload != nullptr) add_module(ptx_of(best, best_payload));
}

std::map<const void*, Function>& functions() {
  static auto* all = new std::map<const void*, Function>;
  return *all;
}

}  // namespace

Function* find_function(const void* host) {
  const auto found = functions().find(host);
  if (found == functions().end()) return nullptr;
  Function& function = found->second;
  if (function.kernel == nullptr) function.kernel = find_kernel(function.name);
  return function.kernel == nullptr ? nullptr : &function;
}

}  // namespace elbo::cuda::simulated

using namespace elbo::cuda::simulated;

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  static int registered = 0;
  report_leaks_at_exit();
  load(static_cast<Wrapper*>(wrapper)->data);
  return reinterpret_cast<void**>(static_cast<intptr_t>(++registered));
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*,
                            dim3*, dim3*, int*) {
  functions()[host].name = name;
}
// Only functions such as cudaMemcpyToSymbol need registered variables, and they are not simulated.
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

}  // extern "C"
