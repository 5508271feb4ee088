// `elbo_bench likelihood`: importance-sampled likelihoods against the decoder's matrix products.
#pragma once

#include <cstdint>
#include <string>

namespace elbo::bench {

struct LikelihoodCommand {
  std::string model = "784-200-200-z50";
  int64_t images = 20;     // rows whose likelihood is estimated
  int64_t samples = 5000;  // of each
  int64_t rounds = 7;
  std::string data;  // a data set with a test split; empty: random bytes
};

/// Takes turns between an evaluation and the decoder's products alone, on as many rows and without
/// biases and activations, and prints one JSON object: medians of the rows decoded in a second, the
/// share of the products' rate, the seconds of the evaluation, and the mean of -log p(x) in nats
/// that it came to under the weights training starts from. Throws what the engine throws, and
/// ConfigError where the device is not a CPU.
void run_likelihood_command(const LikelihoodCommand& command, const std::string& device,
                            int threads);

}  // namespace elbo::bench
