#include "cuda_emulation/simulated_gpu/operations.hpp"

#include <cstdio>
#include <cstring>

#include "cuda_emulation/simulated_gpu/memory.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

namespace elbo::cuda::simulated {
namespace {

constexpr double kMicrosecondsPerInstruction = 1e-5;

void run_work(const Operation&, const Nothing&, Access&) {}

void run_work(const Operation& operation, const Copy& copy, Access& access) {
  const Memory& memory = Memory::get();
  const auto* from = static_cast<const std::byte*>(copy.from);
  if (memory.is_device(copy.from))
    from = access.read(copy.from, copy.bytes);
  else if (!copy.staged.empty())
    from = copy.staged.data();
  else if (hash_of(from, copy.bytes) != copy.source_hash)
    report_defect(operation.name + ": the source changed between the call and the copy");
  auto* to = static_cast<std::byte*>(copy.to);
  if (memory.is_device(copy.to)) to = access.write(copy.to, copy.bytes);
  std::memmove(to, from, copy.bytes);
}

void run_work(const Operation&, const Fill& fill, Access& access) {
  std::memset(access.write(fill.to, fill.bytes), fill.value, fill.bytes);
}

void run_work(const Operation&, const LibraryWork& work, Access& access) { work.body(access); }

}  // namespace

bool Operation::repeats(const Operation& other) const {
  const KernelLaunch *a = kernel(), *b = other.kernel();
  if ((a == nullptr) != (b == nullptr) || name != other.name) return false;
  if (a != nullptr) return a->kernel == b->kernel && a->arguments == b->arguments;
  return std::holds_alternative<LibraryWork>(work) &&
         std::holds_alternative<LibraryWork>(other.work);
}

double kernel_time(const Operation& operation, uint64_t instructions) {
  return operation.cost + kMicrosecondsPerInstruction * static_cast<double>(instructions);
}

double run(const Operation& operation, ActorId actor) {
  if (Options::get().trace && !operation.name.empty())
    std::fprintf(stderr, "run %s\n", operation.name.c_str());
  Access access(actor, false);
  const KernelLaunch* launch = operation.kernel();
  if (launch == nullptr) {
    std::visit(
        [&](const auto& work) {
          if constexpr (requires { run_work(operation, work, access); })
            run_work(operation, work, access);
        },
        operation.work);
    return operation.cost;
  }
  GridRun grid(*launch->kernel, launch->arguments, launch->grid, launch->block,
               launch->shared_bytes, access, false);
  grid.run();
  return kernel_time(operation, grid.instructions());
}

uint64_t hash_of(const void* memory, size_t bytes) {
  constexpr uint64_t kSeed = 14695981039346656037u, kFactor = 1099511628211u;  // FNV-1a
  uint64_t hash = kSeed;
  for (size_t i = 0; i < bytes; ++i)
    hash = (hash ^ static_cast<const unsigned char*>(memory)[i]) * kFactor;
  return hash;
}

}  // namespace elbo::cuda::simulated
