// What a training step minimises. A step is a list of phases, and a phase is data: some losses, and
// the parts of the model that one update of the optimizer then changes. The trainer knows nothing
// else of a model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/model/architecture.hpp"

namespace elbo {

/// The losses, in the order they are recorded: a reconstruction's takes the memory of the decoder's
/// output, which the adversarial ones read.
enum class Loss {
  classification,  // classifier-weight * the classifier's loss
  discrimination,  // -V(D, G), the discriminator's
  adversarial,     // adversarial-weight * the generator's
  sparsity,        // code-l1 * sum |z|
  reconstruction,  // -reconstruction-weight * log p(x|z)
  divergence,      // beta * KL(q(z|x) || N(0, I)), or what free bits or a capacity make of it
  importance,      // -log of the mean of the samples' importance weights
};

struct Phase {
  std::string_view name;
  std::vector<Loss> losses;
  std::vector<Part> parts;  // side by side in the arena; no part belongs to two phases
  double rate = 1.0;        // times the learning rate
};

/// The phases of a step, in order.
std::vector<Phase> phases_of(const ModelSettings& settings);

/// "generate: adversarial + reconstruction → encoder, decoder"
std::string describe(const Phase& phase);

/// The parameters of a phase.
ParameterRange range_of(const Phase& phase, const Architecture& architecture);

}  // namespace elbo
