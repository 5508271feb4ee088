// A training step, recorded: gather, then for each phase forward ▸ losses ▸ backward ▸ optimizer,
// then on to the next step. Running it n times is n steps of training, without the host.
#pragma once

#include <memory>
#include <optional>

#include "host/model/batch_pass.hpp"
#include "host/model/model.hpp"
#include "host/train/config.hpp"
#include "host/train/device_rows.hpp"
#include "kernels/buffer.hpp"
#include "kernels/curand.hpp"

namespace elbo {

class TrainingPass {
 public:
  struct Options {
    StepPlan plan;
    UpdateSettings optimizer = {};  // as in a default Config
    bool shuffle = true;
    /// Rows of a window that the data stream in, a multiple of the plan's batch_rows; 0: all rows
    /// stay on the device. Orders are equal where a window covers the data.
    uint32_t window = 0;
    /// Take epsilon from epsilon() instead of drawing it.
    bool external_epsilon = false;
    /// Leave a step's gradients in the arena, for those who look at them.
    bool keep_gradients = false;
    int32_t ring_size = 1024;  // step records kept
  };

  /// `model` is one made for training; both it and the split's data must outlive the pass.
  TrainingPass(Model& model, const Split& split, const Options& options);

  const StepPlan& plan() const { return options_.plan; }
  uint32_t window() const { return options_.window; }
  const Program& program() const { return program_; }
  bool keeps_gradients() const { return options_.keep_gradients; }

  /// Sets the step that comes next.
  void seek(uint64_t step);
  uint64_t step() const { return step_; }
  /// Runs `steps` steps (at most ring_size). Throws what went wrong when rows were fetched.
  void run(uint64_t steps);
  /// The records of some steps, on their way from the device.
  class PendingRecords {
   public:
    /// Whether there are none to wait for.
    bool empty() const { return ring_ == nullptr; }
    /// Waits for the steps to be done. Oldest first.
    std::vector<StepRecord> wait() const;

   private:
    friend class TrainingPass;
    std::unique_ptr<Download> ring_;
    uint64_t end_ = 0, count_ = 0, ring_size_ = 0;
  };
  /// Of the last `steps` steps; the device goes on meanwhile.
  PendingRecords start_records(uint64_t steps) const;
  std::vector<StepRecord> records(uint64_t steps) const { return start_records(steps).wait(); }

  /// The data set's rows in the last step's batch, [batch rows]: as many as its record says, and
  /// undefined ones behind them.
  std::vector<uint32_t> batch_rows() const { return row_ids_.download(); }

  /// What a record's terms are, in their order.
  const std::vector<ReportedTerm>& terms() const { return terms_; }

  /// What was chosen for the device, line by line.
  std::vector<std::string> notes() const;

  /// [batch * samples, latent], with external_epsilon.
  Buffer<float>& epsilon() { return epsilon_; }

 private:
  void record(Model& model);
  void add_update(Recorder& recorder, Model& model, ParameterRange range, double rate,
                  const StepEnd& end);

  Options options_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<DeviceRows> rows_;
  Buffer<StepState> state_;
  Buffer<StepRecord> ring_;
  Buffer<StepScratch> scratch_;
  Buffer<uint32_t> row_ids_;
  Buffer<float> epsilon_;
  Buffer<int32_t> labels_;
  std::vector<ReportedTerm> terms_;
  std::vector<Buffer<float>> buffers_;
  Program program_;
  std::unique_ptr<Executable> executable_;
  uint64_t step_ = 0;
};

/// The step plan that the settings ask for: schedules in steps, for `rows` training rows.
StepPlan step_plan(const Config& config, int64_t rows);

/// Steps of the whole training.
uint64_t total_steps(const Config& config, int64_t rows);

/// Steps between lines of metrics in a training of so many.
uint64_t metrics_interval(const Config& config, uint64_t total_steps);

}  // namespace elbo
