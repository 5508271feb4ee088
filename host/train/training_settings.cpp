#include "host/train/training_settings.hpp"

namespace elbo {

void TrainingSettings::check() const {
  if (data_window > 0 && data_window < batch_size)
    reject_value("data-window", std::to_string(data_window),
                 "0 or at least batch-size, which is " + std::to_string(batch_size));
}

bool UpdateSettings::has_second_moment() const {
  bool has = false;
  optimizer.visit([&](auto rule) { has = decltype(rule)::moments == 2; });
  return has;
}

void UpdateSettings::check() const {
  const bool multistep = learning_rate_schedule == math::Decay::of<math::MultistepDecay>();
  refuse_if(multistep && learning_rate_milestones.empty(), said(*this, learning_rate_schedule),
            "no learning-rate-milestones", "give the epochs at which it decays");
  refuse_if(!multistep && !learning_rate_milestones.empty(), said(*this, learning_rate_schedule),
            "learning-rate-milestones", "use learning-rate-schedule multistep");
  refuse_if(second_moment_start > 0.0 && !has_second_moment(), said(*this, second_moment_start),
            said(*this, optimizer),
            "it has no second moment; use an adam, or second-moment-start 0");
}

}  // namespace elbo
