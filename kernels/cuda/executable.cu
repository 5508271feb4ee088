#include "kernels/cuda/executable.hpp"

#include <algorithm>
#include <cstdio>

#include "kernels/cuda/execution.cuh"

namespace elbo::cuda {
namespace {

constexpr int kUnrolled = 16;  // runs per graph: launching one costs the host a few microseconds

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

/// A copy of the memory that a program's runs carry on, to put back after trying it.
class Snapshot {
 public:
  Snapshot(const Program& program, cudaStream_t stream) : stream_(stream) {
    for (const Access& access : carried_memory(program)) {
      void* copy = nullptr;
      if (cudaMalloc(&copy, access.end - access.begin) != cudaSuccess) {
        cudaGetLastError();
        complete_ = false;
        return;
      }
      copies_.push_back({access, copy});
      move(copy, reinterpret_cast<void*>(access.begin), access);
    }
  }
  ~Snapshot() {
    cudaStreamSynchronize(stream_);
    for (const Copy& copy : copies_) cudaFree(copy.memory);
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  /// False where there was no room for it.
  bool complete() const { return complete_; }
  void restore() const {
    for (const Copy& copy : copies_)
      move(reinterpret_cast<void*>(copy.access.begin), copy.memory, copy.access);
  }
  /// What the memory holds now.
  std::vector<unsigned char> content() const {
    std::vector<unsigned char> bytes;
    for (const Copy& copy : copies_) {
      const size_t place = bytes.size(), size = copy.access.end - copy.access.begin;
      bytes.resize(place + size);
      check(cudaMemcpyAsync(bytes.data() + place, reinterpret_cast<void*>(copy.access.begin), size,
                            cudaMemcpyDeviceToHost, stream_),
            "copy memory");
      check(cudaStreamSynchronize(stream_), "copy memory");
    }
    return bytes;
  }

 private:
  struct Copy {
    Access access;
    void* memory;
  };
  void move(void* to, const void* from, const Access& access) const {
    check(cudaMemcpyAsync(to, from, access.end - access.begin, cudaMemcpyDeviceToDevice, stream_),
          "copy memory");
  }

  cudaStream_t stream_;
  std::vector<Copy> copies_;
  bool complete_ = true;
};

}  // namespace

CudaExecutable::CudaExecutable(std::shared_ptr<const StreamContext> context, Program program)
    : context_(std::move(context)),
      program_(std::move(program)),
      dependencies_(dependencies(program_)) {
  context_->make_current();
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

void CudaExecutable::launch(size_t op, Stream stream) const {
  const Queue queue = {stream, scratch_[op].get()};
  std::visit(
      [&](const auto& each) {
        if (products_[op] == nullptr) return launch_op(each, queue);
        products_[op]->enqueue(stream);
        if constexpr (requires { finish_library_product(each, queue); }) {
          if (!products_[op]->whole()) finish_library_product(each, queue);
        }
      },
      program_[op]);
}

std::optional<Measurement> CudaExecutable::measurement_of(const Op& op) {
  const std::string key = tuning_key(op);
  TuningFile& file = context_->tuning();
  if (const Measurement* known = file.find(key)) return *known;
  try {
    const Measurement measured = measure(op, *context_->library(), context_->stream());
    if (!file.add(key, measured))
      notes_.push_back("the choice for " + key + " could not be written to '" +
                       file.path().string() +
                       "': another run may choose otherwise and differ in its last bits");
    return measured;
  } catch (const DeviceError& error) {
    cudaGetLastError();
    notes_.push_back(key + ": kernel, not measured (" + error.what() + ")");
    return std::nullopt;
  }
}

void CudaExecutable::choose_products() {
  products_.resize(program_.size());
  ProductLibrary* library = context_->library();
  for (const MissingLibrary& missing : context_->missing_libraries())
    if (std::ranges::any_of(program_, missing.does))
      notes_.push_back(missing.products + " by own kernels alone: " + missing.reason);
  if (library == nullptr) return;
  std::map<std::string, Measurement> measurements;
  for (const Op& op : program_) {
    const std::string key = tuning_key(op);
    if (key.empty() || measurements.count(key) != 0) continue;
    if (const std::optional<Measurement> known = measurement_of(op)) measurements[key] = *known;
  }
  const std::vector<std::string> chosen = choose(program_, measurements);
  for (size_t i = 0; i < program_.size(); ++i) {
    const std::string key = tuning_key(program_[i]);
    if (key.empty()) continue;
    if (measurements.count(key) == 0) continue;
    const Measurement& m = measurements.at(key);
    if (!chosen[i].empty())
      for (auto& product : library->candidates(program_[i]))
        if (product->name() == chosen[i]) products_[i] = std::move(product);
    const double time = chosen[i] == m.masked && !m.masked.empty() ? m.masked_time : m.best_time;
    notes_.push_back(key + ": " +
                     (products_[i] ? chosen[i] + ", " + rounded(time) + " us (kernel " +
                                         rounded(m.kernel) + " us)"
                                   : "kernel, " + rounded(m.kernel) + " us"));
  }
}

std::unique_ptr<StepGraph> CudaExecutable::make_graph(const GraphOptions& options) const {
  return std::make_unique<StepGraph>(
      context_->stream(), [this](size_t op, Stream stream) { launch(op, stream); }, dependencies_,
      options);
}

/// Runs the program in every kind of graph, checks that all leave the same bits, and keeps the
/// fastest. What the runs changed is put back.
void CudaExecutable::choose_graph() {
  graph_chosen_ = true;
  const Snapshot before(program_, context_->stream());
  if (!before.complete()) {
    notes_.push_back("no room to try graphs: one kernel behind the other");
    return;
  }
  std::vector<unsigned char> wanted;
  double best = 0.0;
  for (const bool overlapping : {false, true})
    for (const bool branches : {false, true}) {
      const GraphOptions options = {kUnrolled, branches, overlapping};
      const std::string name = std::string("graph, ") + (branches ? "branches" : "one chain") +
                               (overlapping ? ", overlapping kernels" : "") + ": ";
      try {
        auto graph = make_graph(options);
        graph->launch(context_->stream());
        const std::vector<unsigned char> content = before.content();
        if (wanted.empty()) wanted = content;
        const double time = microseconds(*graph);
        before.restore();
        if (content != wanted) {
          notes_.push_back(name + "other bits, not used");
          continue;
        }
        notes_.push_back(name + std::to_string(graph->nodes() / kUnrolled) + " nodes, " +
                         rounded(time) + " us a run");
        if (many_ != nullptr && time >= best) continue;
        best = time;
        many_ = std::move(graph);
        options_ = options;
      } catch (const DeviceError& error) {
        cudaGetLastError();
        before.restore();
        notes_.push_back(name + error.what());
      }
    }
  options_.repeats = 1;
}

double CudaExecutable::microseconds(const StepGraph& graph) const {
  constexpr int kLaunches = 5;
  const Event start, stop;
  start.record(context_->stream());
  for (int i = 0; i < kLaunches; ++i) graph.launch(context_->stream());
  stop.record(context_->stream());
  return stop.microseconds_since(start) / (kLaunches * kUnrolled);
}

void CudaExecutable::run(uint64_t repeats) {
  context_->make_current();
  if (repeats >= kUnrolled && !graph_chosen_) choose_graph();
  for (; many_ != nullptr && repeats >= kUnrolled; repeats -= kUnrolled)
    many_->launch(context_->stream());
  if (repeats == 0) return;
  if (one_ == nullptr) one_ = make_graph(options_);
  for (; repeats > 0; --repeats) one_->launch(context_->stream());
}

std::vector<std::string> CudaExecutable::notes() const { return notes_; }

}  // namespace elbo::cuda
