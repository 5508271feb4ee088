// A program prepared for a GPU: an implementation chosen for each op, and graphs that run it.
#pragma once

#include <memory>
#include <vector>

#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/step_graph.hpp"
#include "kernels/cuda/stream_context.hpp"
#include "kernels/device.hpp"

namespace elbo::cuda {

class CudaExecutable : public Executable {
 public:
  CudaExecutable(std::shared_ptr<const StreamContext> context, Program program);
  ~CudaExecutable() override;

  void run(uint64_t repeats) override;
  std::vector<std::string> notes() const override;

 private:
  /// Allocates separate scratch memory for each op, because ops may run in parallel.
  void allocate_scratch();
  void choose_products();
  void choose_graph();
  void make_graphs(uint64_t repeats);
  void make_graphs_or_drop_libraries(uint64_t repeats);
  void launch(size_t op, const Queue& queue) const;
  std::unique_ptr<StepGraph> make_graph(const GraphOptions& options) const;

  bool has_library_products() const;

  std::shared_ptr<const StreamContext> context_;
  Program program_;
  Dependencies dependencies_;
  std::vector<DeviceMemory> scratch_;                      // by op
  std::vector<std::unique_ptr<LibraryProduct>> products_;  // by op; null: the kernel
  GraphOptions options_;
  bool graph_chosen_ = false;
  std::unique_ptr<StepGraph> one_, many_;
  std::vector<std::string> notes_;
};

}  // namespace elbo::cuda
