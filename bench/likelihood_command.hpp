// `elbo_bench likelihood`: the time of importance-sampled likelihoods, relative to the decoder's
// matrix products alone.
#pragma once

#include <cstdint>
#include <string>

namespace elbo::bench {

struct LikelihoodCommand {
  std::string model = "784-200-200-z50";
  int64_t images = 20;     // number of rows whose likelihood is estimated
  int64_t samples = 5000;  // importance samples per row
  int64_t rounds = 7;
  std::string data;  // a data set (its test split if it has one, else train); empty: random bytes
};

/// Alternates between evaluating the likelihoods and running the decoder's matrix products alone
/// (without biases and activations, on a quarter of the rows), and prints one JSON object: the
/// median number of rows decoded per second, its fraction of the rate of the products, the seconds
/// of the evaluation, and the mean of -log p(x) in nats under the initial weights. Throws what the
/// engine throws, and ConfigError if the device is not a CPU or the model is not dense.
void run_likelihood_command(const LikelihoodCommand& command, const std::string& device,
                            int threads);

}  // namespace elbo::bench
