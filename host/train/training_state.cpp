#include "host/train/training_state.hpp"

#include <bit>

namespace elbo {

bool all_finite(const std::vector<float>& values) {
  constexpr uint32_t kExponent = 0x7f800000;
  bool finite = true;
  for (const float value : values)
    finite &= (std::bit_cast<uint32_t>(value) & kExponent) != kExponent;
  return finite;
}

bool TrainingState::finite() const {
  return all_finite(weights) && all_finite(first_moments) && all_finite(second_moments);
}

TrainingState capture_state(const Model& model, const TrainingProgress& progress) {
  return {progress, model.arena.weights.download(), model.arena.first_moments.download(),
          model.arena.second_moments.download()};
}

void apply_state(Model& model, const TrainingState& state) {
  model.set_weights(state.weights);
  model.arena.first_moments.upload(state.first_moments);
  model.arena.second_moments.upload(state.second_moments);
}

}  // namespace elbo
