// The losses that a training step minimises. A step is a list of phases. A phase is plain data:
// some losses, and the parts of the model that one optimizer update changes after them. The trainer
// needs no other knowledge of the model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/model/architecture.hpp"

namespace elbo {

/// The losses, in recording order: the gradient of the reconstruction overwrites the decoder's
/// output, which the adversarial losses read, so reconstruction comes after them.
enum class Loss {
  classification,  // classifier-weight * the classifier's loss
  discrimination,  // -V(D, G), the discriminator's loss
  adversarial,     // adversarial-weight * the generator's loss
  sparsity,        // code-l1 * sum |z|
  reconstruction,  // -reconstruction-weight * log p(x|z)
  divergence,      // beta * KL(q(z|x) || N(0, I)), modified by free bits or a capacity
  importance,      // -log of the mean importance weight of the samples
};

struct Phase {
  std::string_view name;
  std::vector<Loss> losses;
  std::vector<Part> parts;  // contiguous in the arena; no part belongs to two phases
  double rate = 1.0;        // multiplies the learning rate
};

/// Returns the phases of a step, in order.
std::vector<Phase> phases_of(const ModelSettings& settings);

/// Returns "generate: adversarial + reconstruction → encoder, decoder".
std::string describe(const Phase& phase);

/// Returns the range of the parameters that a phase updates.
ParameterRange range_of(const Phase& phase, const Architecture& architecture);

}  // namespace elbo
