// Settings of a training: its length, the updates of the weights, and the frequency of reports.
#pragma once

#include "host/data/dataset.hpp"
#include "host/settings/combination.hpp"
#include "kernels/math/optimizer.hpp"
#include "kernels/math/schedule.hpp"

namespace elbo {

enum class OnDivergence { stop, rollback };
constexpr auto names_of(OnDivergence) {
  return std::array<std::string_view, 2>{"stop", "rollback"};
}

struct TrainingSettings {
  static constexpr std::string_view title = "training";
  int64_t epochs = 20;
  int64_t steps = 0;
  int64_t batch_size = 128;
  int64_t early_stopping = 0;
  OnDivergence on_divergence = OnDivergence::stop;
  int64_t data_window = 0;
  int64_t metrics_interval = 0;
  int64_t report_epochs = 0;
  int64_t picture_count = 64;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("epochs", s.epochs, AtLeast{1}, "number of passes over the training split");
    v("steps", s.steps, AtLeast{0, 1e15},
      "number of optimizer steps, instead of epochs; 0: epochs");
    v("batch-size", s.batch_size, AtLeast{1, 1e7}, "number of inputs per step");
    v("early-stopping", s.early_stopping, AtLeast{0},
      "number of epochs without a better validation score after which to stop; 0: never");
    v("on-divergence", s.on_divergence, Any{},
      "reaction to a loss, gradients or weights that are not finite: stop, or rollback (continue "
      "from the last checkpoint with half the learning rate, up to 5 times)");
    v("data-window", s.data_window, AtLeast{0},
      "number of rows on the device at a time, shuffled among themselves while the next are copied "
      "there; 0: all, or as many as fit half of a GPU's free memory");
    v("metrics-interval", s.metrics_interval, AtLeast{0},
      "number of steps between lines of metrics.jsonl; 0: 100, or for at most 10000 lines");
    v("report-epochs", s.report_epochs, AtLeast{0},
      "number of epochs between validations, pictures and checkpoints; 0: for at most 100");
    v("picture-count", s.picture_count, Between{0, 4096},
      "number of samples and reconstructions in a picture; 0: no pictures");
  }
  bool operator==(const TrainingSettings&) const = default;

  void check(Combination& c) const;
};

enum class LossReduction { mean, sum };
constexpr auto names_of(LossReduction) { return std::array<std::string_view, 2>{"mean", "sum"}; }

struct UpdateSettings {
  static constexpr std::string_view title = "optimizer";
  math::Optimizer optimizer = math::Optimizer::of<math::Adam>();
  double learning_rate = 1e-3;
  math::Decay learning_rate_schedule = math::Decay::of<math::ConstantDecay>();
  double learning_rate_final_ratio = 0.01;
  std::vector<double> learning_rate_milestones = {};
  double learning_rate_gamma = 0.1;
  double learning_rate_warmup_epochs = 0.0;
  double momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double adam_second_moment_init = 0.0;
  double weight_decay = 0.0;
  double clip_norm = 0.0;
  LossReduction loss_reduction = LossReduction::mean;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("optimizer", s.optimizer, Any{}, "update rule (`elbo list optimizers`)");
    v("learning-rate", s.learning_rate, MoreThan{0, 1e6}, "step size");
    v("learning-rate-schedule", s.learning_rate_schedule, Any{},
      "decay of the learning rate over the whole training (`elbo list schedules`)");
    v("learning-rate-final-ratio", s.learning_rate_final_ratio, Between{1e-12, 1},
      "final learning rate of the schedule, as a fraction of learning-rate");
    v("learning-rate-milestones", s.learning_rate_milestones, Ascending{math::Milestones::kMost},
      "epochs, or fractions of them, at which schedule multistep decays");
    v("learning-rate-gamma", s.learning_rate_gamma, Between{1e-12, 1},
      "factor by which schedule multistep decays");
    v("learning-rate-warmup-epochs", s.learning_rate_warmup_epochs, AtLeast{0},
      "number of epochs over which the learning rate grows linearly from 0");
    v("momentum", s.momentum, FromBelow{0, 1}, "momentum of optimizer sgd");
    v("beta1", s.beta1, FromBelow{0, 1}, "decay of Adam's first moment");
    v("beta2", s.beta2, FromBelow{0, 1}, "decay of Adam's second moment");
    v("epsilon", s.epsilon, AtLeast{0, 1e6}, "epsilon of Adam and Adagrad");
    v("adam-second-moment-init", s.adam_second_moment_init, AtLeast{0, 1e6},
      "initial value of Adam's second moment");
    v("weight-decay", s.weight_decay, AtLeast{0, 1e6},
      "multiple of the weights that is added to the gradient; decoupled in adamw");
    v("clip-norm", s.clip_norm, AtLeast{0, 1e9},
      "largest 2-norm of the whole gradient; 0: no clipping");
    v("loss-reduction", s.loss_reduction, Any{},
      "reduction over a batch's inputs: mean, or sum (gradients are batch-size times as large)");
  }
  bool operator==(const UpdateSettings&) const = default;

  bool has_second_moment() const;
  void check(Combination& c) const;
};

/// Settings that are not part of a training's state: where it runs, where its files are, and for
/// how long. Checkpoints of equal trainings are equal regardless of these settings.
struct RunSettings {
  static constexpr std::string_view title = "run";
  std::string dataset;
  std::string image_cache;
  std::string device = "auto";
  int64_t threads = 0;
  int64_t keep_checkpoints = 2;
  double checkpoint_minutes = 10.0;
  double max_minutes = 0.0;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("dataset", s.dataset, Any{}, "directory or file to train on, if not given as DATASET");
    v("image-cache", s.image_cache, Any{},
      "directory for decoded pictures; empty: elbo-cache beside the run");
    v("device", s.device, Any{}, "device: auto, cpu, cuda or cuda:N");
    v("threads", s.threads, Between{0, 1024},
      "number of CPU threads; 0: all. Results do not depend on it");
    v("keep-checkpoints", s.keep_checkpoints, AtLeast{1},
      "number of newest checkpoints to keep, beside the best");
    v("checkpoint-minutes", s.checkpoint_minutes, AtLeast{0},
      "minutes between checkpoints, if no report writes one before; 0: at reports only");
    v("max-minutes", s.max_minutes, AtLeast{0},
      "minutes after which to stop with a checkpoint, for `elbo resume`; 0: never");
  }
  bool operator==(const RunSettings&) const = default;

  void check(Combination& c, const Dataset& data) const;
};

}  // namespace elbo
