#include "kernels/cuda/product_choice.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <set>

#include "kernels/cuda/gpu_error.hpp"

namespace elbo::cuda {
namespace {

constexpr const char* kMayDiffer = "another run may choose otherwise and differ in its last bits";

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

class Chooser {
 public:
  Chooser(const Program& program, std::vector<ProductSource>& sources, ProductTrials& trials,
          const TimeBox& time)
      : program_(program), trials_(trials), time_(time) {
    for (const Op& op : program) {
      const auto source = std::ranges::find_if(sources, [&](auto& each) { return each.does(op); });
      sources_.push_back(source == sources.end() ? nullptr : &*source);
      keys_.push_back(tuning_key(op));
    }
  }

  ProductChoice choose() && {
    for (ProductSource* source : std::set<ProductSource*>(sources_.begin(), sources_.end()))
      if (source != nullptr) note(source->note());
    measure_all();
    choice_.products.resize(program_.size());
    const std::vector<std::string> chosen = cuda::choose(program_, measurements_);
    for (size_t op = 0; op < program_.size(); ++op)
      if (measurements_.contains(keys_[op])) take(op, chosen[op]);
    return std::move(choice_);
  }

 private:
  void note(std::string text) { choice_.notes.push_back(std::move(text)); }

  /// The most expensive first, so that products without time left matter least.
  void measure_all() {
    std::vector<size_t> ops;
    for (size_t op = 0; op < program_.size(); ++op) {
      const auto same = [&](size_t other) { return keys_[other] == keys_[op]; };
      if (sources_[op] != nullptr && sources_[op]->library() != nullptr &&
          std::ranges::none_of(ops, same))
        ops.push_back(op);
    }
    std::ranges::stable_sort(ops, std::greater(),
                             [&](size_t op) { return flops_of(program_[op]); });
    std::string unmeasured;
    size_t count = 0;
    for (const size_t op : ops) {
      if (const Measurement* known = sources_[op]->tuning().find(keys_[op])) {
        measurements_[keys_[op]] = *known;
      } else if (time_.is_over()) {
        unmeasured += (count++ == 0 ? "" : "; ") + keys_[op];
      } else {
        measure(op);
      }
    }
    if (count > 0)
      note("measuring products took more than " + rounded(time_.seconds()) +
           " s: " + std::to_string(count) + " are not measured and use kernels (" + unmeasured +
           "); " + kMayDiffer);
  }

  void measure(size_t op) {
    const std::string& key = keys_[op];
    TuningFile& file = sources_[op]->tuning();
    try {
      const Measurement measured = trials_.measure(program_[op], *sources_[op]->library());
      measurements_[key] = measured;
      if (!measured.shortage.empty()) {
        note("the choice for " + key + " is not kept, since memory ran out while measuring (" +
             measured.shortage + "): " + kMayDiffer);
      } else if (measured.kernel > 0.0) {
        measurements_[key] = file.add(key, measured);
        if (!file.written())
          note("the choice for " + key + " could not be written to '" + file.path().string() +
               "': " + kMayDiffer);
      }
    } catch (const GpuLost&) {
      throw;
    } catch (const DeviceError& error) {
      note(key + ": kernel, not measured (" + error.what() + "): " + kMayDiffer);
    }
  }

  void take(size_t op, const std::string& name) {
    const Measurement& m = measurements_.at(keys_[op]);
    std::string nodes;
    if (!name.empty()) {
      try {
        std::unique_ptr<LibraryProduct> product = find(op, name);
        const size_t count = trials_.try_out(program_[op], *product);
        nodes = std::to_string(count) + (count == 1 ? " node" : " nodes");
        choice_.products[op] = std::move(product);
      } catch (const GpuLost&) {
        throw;
      } catch (const DeviceError& error) {
        note("the choice for " + keys_[op] + ", " + name + ", could not be had (" + error.what() +
             "): another run may differ in its last bits");
      }
    }
    if (choice_.products[op] != nullptr)
      note(keys_[op] + ": " + name + ", " +
           rounded(name == m.masked ? m.masked_time : m.best_time) + " us, " + nodes + " (kernel " +
           rounded(m.kernel) + " us)");
    else
      note(keys_[op] + ": kernel" +
           (m.kernel > 0.0 ? ", " + rounded(m.kernel) + " us" : ", the only one"));
  }

  std::unique_ptr<LibraryProduct> find(size_t op, const std::string& name) const {
    Candidates candidates = sources_[op]->library()->candidates(program_[op]);
    for (auto& product : candidates.products)
      if (product->name() == name) return std::move(product);
    throw DeviceError(candidates.shortage.empty() ? "the library does not offer it"
                                                  : candidates.shortage);
  }

  const Program& program_;
  ProductTrials& trials_;
  const TimeBox& time_;
  std::vector<ProductSource*> sources_;  // by op; null: no product
  std::vector<std::string> keys_;        // by op
  std::map<std::string, Measurement> measurements_;
  ProductChoice choice_;
};

}  // namespace

ProductLibrary* ProductSource::library() {
  if (!std::exchange(looked_for_, true)) {
    library_ = make_(missing_);
    if (library_ != nullptr) tuning_ = std::make_unique<TuningFile>(path_(library_->version()));
  }
  return library_.get();
}

std::string ProductSource::note() {
  if (library() == nullptr) return products_ + " by own kernels alone: " + missing_;
  return products_ + ": " + library_->version() + " (" + library_->path() + ")";
}

double TimeBox::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ProductChoice choose_products(const Program& program, std::vector<ProductSource>& sources,
                              ProductTrials& trials, const TimeBox& time) {
  return Chooser(program, sources, trials, time).choose();
}

}  // namespace elbo::cuda
