// Known likelihoods of MNIST: of the pixels' means alone, and of a linear Gaussian model, whose log
// p(x) is a closed form.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "host/data/statistics.hpp"
#include "host/train/recipe.hpp"
#include "host/train/trainer.hpp"
#include "tests/linear_gaussian.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

class OnMnist : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("ELBO_DATA");
    if (folder == nullptr || *folder == '\0')
      GTEST_SKIP() << "ELBO_DATA does not name a folder with the real data sets";
    data_ = Dataset::open(std::filesystem::path(folder) / "mnist", {.validation_fraction = 0.0});
  }
  const Dataset& data() const { return *data_; }

 private:
  std::optional<Dataset> data_;
};

// The decoder's output is the logit of the training mean for any z, and q is the prior. The engine
// clips means to [0.001, 0.999], which leads to these numbers; less clipping, as 1e-6, would give
// 206.03 and 205.80, for the 227 of 784 pixels that are darker than 0.001.
TEST_F(OnMnist, PixelMeansAlone) {
  Config config = config_for_recipe("vae");
  config.likelihood = math::Likelihood::of<math::Bernoulli>();
  config.binarize = Binarization::dynamic;
  config.hidden = {8};
  config.latent_dim = 2;
  Model model(config, signature_of(config, data()), make_cpu_device(), Model::Purpose::inference);
  const ColumnStatistics statistics = column_statistics(data().split("train"), data().dim());
  const std::vector<float> initial = model.architecture.initial_weights(1, &statistics);
  std::vector<float> weights(initial.size());
  const auto bias =
      static_cast<size_t>(model.architecture.layout().find("likelihood.bias")->offset);
  const auto dim = static_cast<size_t>(data().dim());
  std::copy_n(initial.begin() + static_cast<std::ptrdiff_t>(bias), dim,
              weights.begin() + static_cast<std::ptrdiff_t>(bias));
  model.set_weights(weights);

  for (const auto& [name, published] : {std::pair{"train", 206.19}, std::pair{"test", 205.97}}) {
    SCOPED_TRACE(name);
    // The cross-entropy is linear in x: its mean over binarisations is that of grey rows. Bits
    // that are drawn add a variance of v (1 - v) logit^2 each.
    const Split& split = data().split(name);
    const ColumnStatistics seen = column_statistics(split, data().dim());
    double expected = 0.0, variance = 0.0;
    for (size_t c = 0; c < dim; ++c) {
      const double logit = weights[bias + c], mean = seen.mean[c];
      expected += mean * std::log1p(std::exp(-logit)) + (1.0 - mean) * std::log1p(std::exp(logit));
      variance += (mean - mean * mean - seen.variance[c]) * logit * logit;
    }
    const double error = std::sqrt(variance / static_cast<double>(split.size()));
    EXPECT_NEAR(expected, published, 0.006);
    const Evaluation e = Evaluator(model, split).evaluate({.samples = 3});
    std::printf("%s: nll %.3f, expected %.3f +- %.3f\n", name, e.nll.value, expected, error);
    EXPECT_EQ(e.kl.value, 0.0);
    EXPECT_NEAR(-e.elbo.value, expected, 5.0 * error);
    EXPECT_NEAR(-e.elbo.value, published, 0.1);
    // Every weight is p(x): 784 terms, nearly all of them below 7.
    EXPECT_NEAR(e.nll.value, -e.elbo.value, 16.0 * kEpsilon * published);
  }
}

/// Compares evaluations of the first rows of test with the closed form of the model's weights.
void expect_closed_form(const Model& model, const Split& test, bool tight) {
  constexpr uint32_t kRows = 100;
  constexpr int64_t kSamples = 5000;
  const LinearGaussian truth = LinearGaussian::of(model);
  Split split = test;
  split.index.resize(kRows);
  for (uint32_t r = 0; r < kRows; ++r) split.index[r] = r;
  Evaluator evaluator(model, split);
  const std::vector<float> rows = evaluator.reconstruct(kRows).inputs;
  const std::vector<double> got = evaluator.log_likelihoods({.samples = kSamples});
  double total = 0.0, variance = 0.0, rounding = 0.0, gap = 0.0, least = 1e9;
  for (uint32_t r = 0; r < kRows; ++r) {
    SCOPED_TRACE(r);
    const float* x = &rows[r * static_cast<size_t>(model.architecture.dim())];
    const double exact = truth.log_likelihood(x);
    // A log of a mean of K weights is below the truth by v / 2K on average.
    const double v = truth.weight_variance(x, x) / kSamples;
    // Sums of 784 terms in another order, of means that have rounded.
    const double rounded = 32.0 * kEpsilon * truth.magnitude(x);
    EXPECT_NEAR(got[r] + 0.5 * v, exact, 5.0 * std::sqrt(v) + rounded);
    total += (got[r] + 0.5 * v - exact) / kRows;
    variance += v / kRows / kRows;
    rounding += rounded / kRows;

    split.index = {r};
    const double bound = Evaluator(model, split).evaluate().elbo.value;
    const double noise = 5.0 * std::sqrt(truth.reconstruction_variance(x, x) /
                                         static_cast<double>(model.settings.samples));
    EXPECT_NEAR(bound, truth.elbo(x, x), noise + rounded);
    EXPECT_LE(bound, exact + (tight ? noise + rounded : 0.0));
    gap += (exact - bound) / kRows;
    least = std::min(least, exact - bound);
  }
  std::printf("log p(x): off by %.5f +- %.5f nats on average; bound below by %.3f, at least %.3f\n",
              total, std::sqrt(variance), gap, least);
  EXPECT_LE(std::abs(total), 4.0 * std::sqrt(variance) + rounding);
}

// The posterior is first the trained one, near probabilistic PCA's optimum; then it is moved by
// half a deviation and widened by half, which costs some nats: of independent latents 10 (1/4 + 3/2
// - 1 - log(3/2)) / 2, and more where they are correlated.
TEST_F(OnMnist, LinearModelsLikelihoodIsItsClosedForm) {
  Config config = config_for_recipe("ppca");
  config.steps = 3000;
  const std::shared_ptr<Device> device = make_cpu_device();
  Trainer trainer(config, data(), device);
  trainer.train();
  config.samples = 400;
  Model model(config, trainer.model().data, device, Model::Purpose::inference);
  const ParameterLayout& layout = model.architecture.layout();
  std::vector<float> weights =
      trainer.model().arena.weights.download(0, static_cast<size_t>(layout.size()));
  model.set_weights(weights);
  expect_closed_form(model, data().split("test"), true);

  float* mean = &weights[static_cast<size_t>(layout.find("posterior.bias")->offset)];
  float* logvar = &weights[static_cast<size_t>(layout.find("posterior.log_variance")->offset)];
  for (int j = 0; j < config.latent_dim; ++j) {
    mean[j] += 0.5f * std::exp(0.5f * logvar[j]);
    logvar[j] += std::log(1.5f);
  }
  model.set_weights(weights);
  expect_closed_form(model, data().split("test"), false);
}

}  // namespace
}  // namespace elbo
