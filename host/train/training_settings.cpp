#include "host/train/training_settings.hpp"

namespace elbo {

void TrainingSettings::check(Combination& c) const {
  if (data_window > 0 && data_window < batch_size)
    reject_value("data-window", std::to_string(data_window),
                 "0 or at least batch-size, which is " + std::to_string(batch_size));
  c.idle_unless(steps == 0, "with " + c.said(steps), epochs);
}

bool UpdateSettings::has_second_moment() const {
  bool has = false;
  optimizer.visit([&](auto rule) { has = decltype(rule)::moments == 2; });
  return has;
}

void UpdateSettings::check(Combination& c) const {
  const bool multistep = learning_rate_schedule == math::Decay::of<math::MultistepDecay>();
  const std::string &schedule = c.said(learning_rate_schedule), &rule = c.said(optimizer);
  c.refuse_if(multistep && learning_rate_milestones.empty(), schedule,
              "no learning-rate-milestones", "give the epochs at which it decays");
  c.needs(multistep, schedule, "use learning-rate-schedule multistep", learning_rate_milestones);
  c.needs(has_second_moment(), rule, "it has no second moment; use an adam",
          adam_second_moment_init);
  c.idle_unless(multistep, "with " + schedule, learning_rate_gamma);
  const bool constant = learning_rate_schedule == math::Decay::of<math::ConstantDecay>();
  c.idle_unless(!constant && !multistep, "with " + schedule, learning_rate_final_ratio);
  const bool sgd = optimizer == math::Optimizer::of<math::Sgd>();
  c.idle_unless(sgd, "with " + rule, momentum);
  c.idle_unless(!sgd, "with " + rule, epsilon);
  c.idle_unless(has_second_moment(), "with " + rule, beta1, beta2);
}

void RunSettings::check(Combination& c, const Dataset& data) const {
  const DatasetReader* reader = data.reader();
  c.idle_unless(reader != nullptr && reader->decodes, "on arrays: no picture is decoded",
                image_cache);
}

}  // namespace elbo
