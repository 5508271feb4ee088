// A recorded training step: gather, then for each phase forward ▸ losses ▸ backward ▸ optimizer,
// then advance to the next step. Running it n times trains n steps without the host.
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
    UpdateSettings optimizer = {};  // defaults of Config
    bool shuffle = true;
    /// Rows of a window if the data are streamed, a multiple of the plan's batch_rows; 0: all rows
    /// stay on the device. A window that covers the data gives the same row order as 0.
    uint32_t window = 0;
    /// Read epsilon from epsilon() instead of drawing it.
    bool external_epsilon = false;
    /// Keep the gradients of a step in the arena, for inspection.
    bool keep_gradients = false;
    int32_t ring_size = 1024;  // number of step records kept
  };

  /// `model` must have been made for training. `model` and the data of the split must outlive the
  /// pass.
  TrainingPass(Model& model, const Split& split, const Options& options);

  const StepPlan& plan() const { return options_.plan; }
  uint32_t window() const { return options_.window; }
  const Program& program() const { return program_; }
  bool keeps_gradients() const { return options_.keep_gradients; }

  /// Sets the next step.
  void seek(uint64_t step);
  uint64_t step() const { return step_; }
  /// Runs `steps` steps (at most ring_size). Throws errors that occurred while rows were fetched.
  void run(uint64_t steps);
  /// The records of some steps, while they are downloaded from the device.
  class PendingRecords {
   public:
    /// Returns true if there are no records to wait for.
    bool empty() const { return ring_ == nullptr; }
    /// Waits until the steps are done. Returns their records, oldest first.
    std::vector<StepRecord> wait() const;

   private:
    friend class TrainingPass;
    std::unique_ptr<Download> ring_;
    uint64_t end_ = 0, count_ = 0, ring_size_ = 0;
  };
  /// Starts to download the records of the last `steps` steps; the device continues meanwhile.
  PendingRecords start_records(uint64_t steps) const;
  std::vector<StepRecord> records(uint64_t steps) const { return start_records(steps).wait(); }

  /// Returns the data-set row indices of the last step's batch, [batch rows]. Only the first `rows`
  /// of its record are defined.
  std::vector<uint32_t> batch_rows() const { return row_ids_.download(); }

  /// Returns the terms of a step record, in their order.
  const std::vector<ReportedTerm>& terms() const { return terms_; }

  /// Returns the choices made for the device, one per line.
  std::vector<std::string> notes() const;

  /// Returns the buffer [batch * samples, latent] that is read with external_epsilon.
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

/// Returns the step plan of the settings: schedules in steps, for `rows` training rows.
StepPlan step_plan(const Config& config, int64_t rows);

/// Returns the number of steps of the whole training.
uint64_t total_steps(const Config& config, int64_t rows);

/// Returns the number of steps between lines of metrics in a training of `total_steps` steps.
uint64_t metrics_interval(const Config& config, uint64_t total_steps);

}  // namespace elbo
