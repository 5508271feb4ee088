#include "kernels/cuda/trial.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>

#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/step_graph.hpp"
#include "kernels/cuda/trial_arrays.hpp"

namespace elbo::cuda {

/// One thread that divides repeatedly, each time by the previous result.
ELBO_KERNEL void warm_up_kernel(double* out, int divisions) {
  double value = 1.0;
  for (int i = 0; i < divisions; ++i) value = 1.0 / (1.0 + value);
  *out = value;
}

namespace {

/// Measures the kernel and all candidates of a library on the same arrays.
class Trial {
 public:
  Trial(const Op& op, ProductLibrary& library, cudaStream_t stream)
      : arrays_(op, stream), library_(library), stream_(stream) {}

  Measurement run() {
    Measurement result;
    const auto kernel = [&](size_t, Stream stream) { launch_kernel(stream); };
    arrays_.prepare_outputs();
    launch_once(kernel);
    arrays_.keep_wanted();
    best_once_ = once(kernel);
    result.kernel = result.best_time = microseconds(kernel, best_once_);
    prepare_mask();
    const Candidates candidates = library_.candidates(arrays_.op());
    note_shortage(candidates.shortage);
    for (const auto& product : candidates.products)
      if (const std::optional<double> time = time_of(*product)) result.consider(*product, *time);
    result.shortage = shortage_;
    return result;
  }

 private:
  void launch_kernel(Stream stream) const {
    std::visit([&](const auto& op) { launch_op(op, arrays_.queue(stream)); }, arrays_.op());
  }
  void launch_once(const LaunchOp& launch) const {
    launch(0, Stream{stream_});
    ELBO_CUDA(cudaStreamSynchronize(stream_));
  }

  /// Prepares the mask for a product that reads one.
  void prepare_mask() {
    const auto* op = std::get_if<DenseBackwardInput>(&arrays_.op());
    if (op == nullptr || !op->saved) return;
    Candidates candidates = library_.candidates(arrays_.layer_before(*op));
    note_shortage(candidates.shortage);
    for (auto& product : candidates.products) {
      if (!product->writes_mask()) continue;
      if (!attempt(*product, [&] { launch_once([&](size_t, Stream s) { product->enqueue(s); }); }))
        continue;
      mask_writer_ = std::move(product);
      break;
    }
    if (mask_writer_ == nullptr) return;
    // The library's result must agree with the kernel's for the new `saved`.
    launch_kernel({stream_});
    arrays_.keep_wanted();
  }

  void finish(Stream stream) const {
    const Queue where = arrays_.queue(stream);
    const auto finish_op = [&](const auto& op) {
      if constexpr (requires { finish_library_product(op, where); })
        finish_library_product(op, where);
    };
    std::visit(finish_op, arrays_.op());
  }

  /// True if a library's product could be used, i.e. `use` was not refused. Throws GpuLost for a
  /// fault.
  template <class Use>
  bool attempt(const LibraryProduct& product, Use use) {
    try {
      try {
        use();
        return true;
      } catch (const GpuLost&) {
        throw;
      } catch (const OutOfMemory& error) {
        note_shortage(error.what());
        recover();
      } catch (const DeviceError&) {
        recover();  // after a refusal: one candidate less
      }
    } catch (const GpuLost& error) {
      throw GpuLost(std::string(error.what()) + ", while trying " + product.name() + " for " +
                    tuning_key(arrays_.op()));
    }
    return false;
  }
  void note_shortage(const std::string& reason) {
    if (shortage_.empty()) shortage_ = reason;
  }

  /// Returns the microseconds of a library's product, or nothing if the product is refused, differs
  /// from the kernel's result or is far too slow.
  std::optional<double> time_of(LibraryProduct& product) {
    const auto launch = [&](size_t, Stream stream) {
      product.enqueue(stream);
      if (!product.whole()) finish(stream);
    };
    std::optional<double> time;
    attempt(product, [&] {
      arrays_.prepare_outputs();
      launch_once(launch);
      if (!arrays_.agrees()) return;
      const double single = once(launch);
      if (is_hopeless(single, best_once_)) return;
      best_once_ = std::min(best_once_, single);
      time = microseconds(launch, single);
    });
    return time;
  }

  /// Time of a single run.
  double once(const LaunchOp& launch) {
    const Event start, stop;
    start.record(stream_);
    launch(0, Stream{stream_});
    stop.record(stream_);
    return stop.microseconds_since(start);
  }
  /// Returns the time of one run: the median over several graphs of many runs in sequence. `single`
  /// is the time of a single run.
  double microseconds(const LaunchOp& launch, double single) {
    const TimingPlan plan = timing_plan(single);
    if (plan.graphs == 0) return single;
    const StepGraph graph(stream_, launch, Dependencies(1), {.repeats = plan.repeats});
    std::vector<double> times;
    const Event start, stop;
    for (int i = 0; i <= plan.graphs; ++i) {
      start.record(stream_);
      graph.launch(stream_);
      stop.record(stream_);
      const double time = stop.microseconds_since(start);
      if (i > 0) times.push_back(time);  // the first warms up
    }
    const auto median = times.begin() + plan.graphs / 2;
    std::ranges::nth_element(times, median);
    return *median / plan.repeats;
  }

  TrialArrays arrays_;
  ProductLibrary& library_;
  cudaStream_t stream_;
  std::unique_ptr<LibraryProduct> mask_writer_;  // owns the mask that others read
  double best_once_ = 0.0;
  std::string shortage_;
};

/// Saves the arrays that an op writes; the destructor restores them.
class KeptOutputs {
 public:
  KeptOutputs(const Op& op, cudaStream_t stream) : stream_(stream) {
    const AccessList list = accesses_of(op);
    for (const Access& access : list.items()) {
      if (!access.writes) continue;
      const size_t size = access.end - access.begin;
      copies_.push_back({reinterpret_cast<void*>(access.begin), size,
                         DeviceMemory(size, "the results of a product that is tried")});
    }
    for (const Copy& copy : copies_)
      ELBO_CUDA(cudaMemcpyAsync(copy.memory.get(), copy.place, copy.bytes, cudaMemcpyDeviceToDevice,
                                stream_));
  }
  ~KeptOutputs() {
    for (const Copy& copy : copies_)
      check_nothrow(cudaMemcpyAsync(copy.place, copy.memory.get(), copy.bytes,
                                    cudaMemcpyDeviceToDevice, stream_));
    check_nothrow(cudaStreamSynchronize(stream_));
  }
  KeptOutputs(const KeptOutputs&) = delete;
  KeptOutputs& operator=(const KeptOutputs&) = delete;

 private:
  struct Copy {
    void* place;
    size_t bytes;
    DeviceMemory memory;
  };
  cudaStream_t stream_;
  std::vector<Copy> copies_;
};

/// Returns the result of `act`; clears CUDA's error after a refusal.
template <class Act>
auto refusing(const Act& act) {
  try {
    return act();
  } catch (const GpuLost&) {
    throw;
  } catch (const DeviceError&) {
    recover();
    throw;
  }
}

class GpuTrials : public ProductTrials {
 public:
  explicit GpuTrials(cudaStream_t stream) : stream_(stream) {}

  Measurement measure(const Op& op, ProductLibrary& library) override {
    if (const Candidates all = library.candidates(op); all.products.empty())
      return {.shortage = all.shortage};
    return refusing([&] {
      warm_up({stream_});
      return Trial(op, library, stream_).run();
    });
  }

  size_t try_out(const Op& op, LibraryProduct& product) override {
    return refusing([&] {
      run_once(op, product);
      const StepGraph graph(stream_, [&](size_t, Stream stream) { product.enqueue(stream); },
                            Dependencies(1), {});
      return graph.nodes_by_op().front();
    });
  }

 private:
  void run_once(const Op& op, LibraryProduct& product) const {
    std::optional<KeptOutputs> kept;
    try {
      kept.emplace(op, stream_);
    } catch (const OutOfMemory&) {
      return;  // the library then loads its code during the capture
    }
    product.enqueue({stream_});
    ELBO_CUDA(cudaStreamSynchronize(stream_));
  }

  cudaStream_t stream_;
};

}  // namespace

std::unique_ptr<ProductTrials> make_trials(Stream stream) {
  return std::make_unique<GpuTrials>(stream.handle);
}

void warm_up(Stream stream) {
  static std::mutex mutex;
  static std::set<int> warm;  // GPUs
  const std::scoped_lock lock(mutex);
  int ordinal = 0;
  ELBO_CUDA(cudaGetDevice(&ordinal));
  if (warm.contains(ordinal)) return;
  constexpr int kDivisions = 300'000;  // of some 300 cycles each
  const DeviceMemory result(sizeof(double), "warming up");
  warm_up_kernel<<<1, 1, 0, stream.handle>>>(static_cast<double*>(result.get()), kDivisions);
  ELBO_CUDA(cudaGetLastError());
  ELBO_CUDA(cudaStreamSynchronize(stream.handle));
  warm.insert(ordinal);
}

}  // namespace elbo::cuda
