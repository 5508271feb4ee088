#include "host/model/phases.hpp"

#include <algorithm>

namespace elbo {
namespace {

constexpr std::array<std::string_view, 7> kLossNames = {
    "classification", "discrimination", "adversarial",        "sparsity",
    "reconstruction", "divergence",     "importance-weighted"};

}  // namespace

std::vector<Phase> phases_of(const ModelSettings& s) {
  const bool generates = s.adversarial() && s.generator_loss != GeneratorLoss::none;

  Phase model{"train", {}, {Part::encoder}, 1.0};
  if (s.classifies()) model.losses.push_back(Loss::classification);
  if (generates) model.losses.push_back(Loss::adversarial);
  if (s.code_l1 > 0.0) model.losses.push_back(Loss::sparsity);
  if (s.objective == Objective::iwae) {
    model.losses.push_back(Loss::importance);
  } else {
    if (s.decodes() && s.reconstruction_weight > 0.0) model.losses.push_back(Loss::reconstruction);
    if (s.gaussian()) model.losses.push_back(Loss::divergence);
  }
  if (s.decodes()) model.parts.push_back(Part::decoder);
  if (s.classifies()) model.parts.push_back(Part::classifier);
  if (!s.adversarial()) return {model};

  const Phase discriminate{"discriminate",
                           {Loss::discrimination},
                           {Part::discriminator},
                           s.discriminator_learning_rate_ratio};
  const bool learns =
      std::ranges::any_of(model.losses, [](Loss loss) { return loss != Loss::divergence; });
  if (!learns) return {discriminate};
  model.name = generates ? "generate" : "train";
  return {discriminate, model};
}

std::string describe(const Phase& phase) {
  std::string text = std::string(phase.name) + ": ";
  for (size_t i = 0; i < phase.losses.size(); ++i)
    text += (i == 0 ? "" : " + ") + std::string(kLossNames[static_cast<size_t>(phase.losses[i])]);
  for (size_t i = 0; i < phase.parts.size(); ++i)
    text += (i == 0 ? " → " : ", ") + std::string(kPartNames[static_cast<size_t>(phase.parts[i])]);
  return text;
}

ParameterRange range_of(const Phase& phase, const Architecture& architecture) {
  ParameterRange range;
  for (const Part part : phase.parts) {
    const ParameterRange next = architecture.range(part);
    if (next.size() == 0) continue;
    ELBO_ASSERT(range.size() == 0 || range.end == next.begin);
    range = {range.size() == 0 ? next.begin : range.begin, next.end};
  }
  return range;
}

}  // namespace elbo
