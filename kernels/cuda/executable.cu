#include "kernels/cuda/executable.hpp"

#include <algorithm>
#include <map>

#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/graph_choice.hpp"
#include "kernels/cuda/trial.hpp"

namespace elbo::cuda {
namespace {

constexpr int kUnrolled = 16;  // runs per graph: launching one costs the host a few microseconds
constexpr int kHopper = 9;     // first major compute capability with overlapping kernels

}  // namespace

CudaExecutable::CudaExecutable(std::shared_ptr<const StreamContext> context, Program program)
    : context_(std::move(context)),
      program_(std::move(program)),
      dependencies_(dependencies(program_)) {
  context_->make_current();
  options_.overlapping = context_->properties().major >= kHopper;
  allocate_scratch();
  choose_products();
}

CudaExecutable::~CudaExecutable() {
  check_nothrow(cudaSetDevice(context_->ordinal()));
  check_nothrow(cudaStreamSynchronize(context_->stream()));
}

void CudaExecutable::allocate_scratch() {
  for (const Op& op : program_) {
    const size_t bytes = std::visit([](const auto& each) { return scratch_bytes(each); }, op);
    scratch_.emplace_back(bytes, "partial sums");
  }
}

void CudaExecutable::launch(size_t op, const Queue& queue) const {
  std::visit(
      [&](const auto& each) {
        if (products_[op] == nullptr) return launch_op(each, queue);
        products_[op]->enqueue(queue.stream);
        if constexpr (requires { finish_library_product(each, queue); }) {
          if (!products_[op]->whole()) finish_library_product(each, queue);
        }
      },
      program_[op]);
}

void CudaExecutable::choose_products() {
  constexpr double kTuningSeconds = 15.0;
  const auto trials = make_trials(context_->stream());
  ProductChoice choice =
      cuda::choose_products(program_, context_->sources(), *trials, TimeBox(kTuningSeconds));
  products_ = std::move(choice.products);
  notes_ = std::move(choice.notes);
}

std::unique_ptr<StepGraph> CudaExecutable::make_graph(const GraphOptions& options) const {
  std::map<cudaGraphNode_t, size_t> op_of;  // of the last nodes of each op
  const auto launch_behind = [&](size_t op, Stream stream) {
    // An overlapping kernel starts after its direct predecessors have waited for theirs, so only
    // the direct predecessors may still be writing.
    const AccessList early = std::visit([](const auto& o) { return early_reads(o); }, program_[op]);
    const auto may_be_writing = [&](cudaGraphNode_t node) {
      return conflict(early, accesses_of(program_[op_of.at(node)]));
    };
    launch(op, {.stream = stream,
                .scratch = scratch_[op].get(),
                .early_reads = std::ranges::none_of(captured_ends(stream.handle), may_be_writing)});
    for (const cudaGraphNode_t node : captured_ends(stream.handle)) op_of.try_emplace(node, op);
  };
  return std::make_unique<StepGraph>(context_->stream(), launch_behind, dependencies_, options);
}

bool CudaExecutable::has_library_products() const {
  return std::ranges::any_of(products_, [](const auto& product) { return product != nullptr; });
}

void CudaExecutable::choose_graph() {
  const auto describe = [&](const StepGraph& graph) {
    size_t own = 0, library = 0, products = 0;
    for (size_t op = 0; op < program_.size(); ++op) {
      (products_[op] == nullptr ? own : library) += graph.nodes_by_op()[op] / kUnrolled;
      products += products_[op] == nullptr ? 0 : 1;
    }
    return std::to_string(own) + " nodes" +
           (products == 0 ? ""
                          : " and " + std::to_string(library) + " of " + std::to_string(products) +
                                " library products");
  };
  GraphChoice choice = cuda::choose_graph(
      carried_memory(program_), kUnrolled,
      [this](const GraphOptions& options) { return make_graph(options); }, describe,
      context_->stream());
  std::ranges::move(choice.notes, std::back_inserter(notes_));
  graph_chosen_ = true;
  if (choice.graph == nullptr) return;
  many_ = std::move(choice.graph);
  options_ = choice.options;
  options_.repeats = 1;
  one_.reset();  // made again with the chosen options
}

/// Makes the missing graphs for `repeats` runs.
void CudaExecutable::make_graphs(uint64_t repeats) {
  if (repeats >= kUnrolled && !graph_chosen_) choose_graph();
  const bool needs_one = many_ == nullptr ? repeats > 0 : repeats % kUnrolled != 0;
  if (needs_one && one_ == nullptr) one_ = make_graph(options_);
}

/// Falls back to the kernels for all products if the library products cannot be captured.
void CudaExecutable::make_graphs_or_drop_libraries(uint64_t repeats) {
  try {
    return make_graphs(repeats);
  } catch (const GpuLost&) {
    throw;
  } catch (const DeviceError& error) {
    if (!has_library_products()) throw;
    recover();
    notes_.push_back(std::string("no graph with library products (") + error.what() +
                     "): own kernels instead; another run may differ in its last bits");
  }
  for (auto& product : products_) product.reset();
  many_.reset();
  graph_chosen_ = false;
  make_graphs(repeats);
}

void CudaExecutable::run(uint64_t repeats) {
  context_->make_current();
  make_graphs_or_drop_libraries(repeats);
  for (; many_ != nullptr && repeats >= kUnrolled; repeats -= kUnrolled)
    many_->launch(context_->stream());
  for (; repeats > 0; --repeats) one_->launch(context_->stream());
}

std::vector<std::string> CudaExecutable::notes() const { return notes_; }

}  // namespace elbo::cuda
