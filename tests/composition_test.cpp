// Models with every combination of parts: in every phase of a step, the parameter gradient equals
// the slope of the phase's losses, computed from the outputs of the recorded ops. The terms that a
// step reports match their definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "host/model/model_settings.hpp"
#include "host/train/recipe.hpp"
#include "kernels/math/posterior.hpp"
#include "tests/compositions.hpp"
#include "tests/slope.hpp"

namespace elbo {
namespace {

/// A step that can be repeated from the same state with different weights.
class Composition {
 public:
  explicit Composition(const Composed& parts)
      : config_(composed_config(parts)),
        training_(config_, labelled_data(kRows, parts.sample_shape), false),
        phases_(phases_of(config_)) {
    weights_ = training_.weights();
    const std::vector<float> shift = uniform_floats(weights_.size(), -0.2f, 0.2f, 3);
    for (const Parameter& p : architecture().layout().parameters())
      for (int64_t i = p.offset; i < p.offset + p.count(); ++i)
        weights_[static_cast<size_t>(i)] += shift[static_cast<size_t>(i)];
    // |silu(x)| has a kink at 0; the shift keeps difference quotients away from it.
    if (config_.code_activation == math::Activation::of<math::Silu>()) {
      const Parameter* bias = architecture().layout().find("code.bias");
      for (int64_t i = 0; i < bias->count(); ++i)
        weights_[static_cast<size_t>(bias->offset + i)] += 4.0f;
    }
  }

  const Architecture& architecture() const { return training_.model.architecture; }
  const std::vector<Phase>& phases() const { return phases_; }
  const std::vector<float>& weights() const { return weights_; }
  const Config& config() const { return config_; }

  StepRecord run(const std::vector<float>& weights) {
    training_.model.set_weights(weights);
    training_.pass.seek(0);
    return training_.step();
  }
  std::vector<float> gradient() {
    run(weights_);
    return training_.gradients();
  }
  /// Returns the KL per dimension at the initial weights.
  std::vector<double> divergences() {
    run(weights_);
    return divergences(training_.op<LatentForward>());
  }
  double term(const StepRecord& record, std::string_view name) const {
    const std::vector<ReportedTerm>& terms = training_.pass.terms();
    for (size_t i = 0; i < terms.size(); ++i)
      if (terms[i].name == name) return record.terms[i];
    ADD_FAILURE() << name << " is not reported";
    return std::numeric_limits<double>::quiet_NaN();
  }

  /// Returns the loss that phase `index` minimizes, from the outputs of its ops.
  double loss(size_t index, const std::vector<float>& weights) {
    run(weights);
    double sum = 0.0;
    size_t phase = 0;
    for (const Op& op : training_.pass.program()) {
      if (const auto* terms = std::get_if<LikelihoodTerms>(&op);
          terms && terms->gradients && phase == index && config_.objective == Objective::elbo)
        sum += terms->weight * mean(terms->nll, terms->inputs.inputs * terms->samples);
      if (const auto* bound = std::get_if<ImportanceWeights>(&op); bound && phase == index)
        sum -= tempered_bound(*bound);
      if (const auto* terms = std::get_if<CategoricalTerms>(&op); terms && phase == index)
        sum += terms->weight * mean(terms->loss, terms->rows.capacity());
      if (const auto* terms = std::get_if<L1Terms>(&op); terms && phase == index)
        sum += terms->weight * mean(terms->norm, terms->rows.capacity());
      // z is drawn once for all phases; the KL belongs to the phase that trains the encoder.
      if (const auto* latent = std::get_if<LatentForward>(&op);
          latent && latent->kl && config_.objective == Objective::elbo)
        if (std::ranges::count(phases_[index].parts, Part::encoder) > 0)
          sum += config_.beta * divergence(*latent);
      if (std::holds_alternative<OptimizerUpdate>(op)) ++phase;
    }
    return sum;
  }

  /// Returns KL(q(z_j|x) || N(0, 1)) of each dimension j, averaged over the batch.
  std::vector<double> divergences(const LatentForward& op) const {
    std::vector<double> kl(static_cast<size_t>(op.latent));
    for (int64_t b = 0; b < op.inputs.capacity(); ++b) {
      const auto mu = training_.read(op.posterior.mu + b * op.posterior.mu_stride, op.latent);
      const auto logvar =
          training_.read(op.posterior.logvar + b * op.posterior.logvar_stride, op.latent);
      for (size_t j = 0; j < kl.size(); ++j)
        kl[j] += math::gaussian_kl<double>(mu[j], logvar[j]) / op.inputs.capacity();
    }
    return kl;
  }

 private:
  /// Returns the KL loss with free bits and KL capacity applied.
  double divergence(const LatentForward& op) const {
    double sum = 0.0;
    for (const double kl : divergences(op)) sum += std::max(kl, config_.free_bits);
    return config_.kl_capacity > 0.0 ? std::abs(sum - config_.kl_capacity) : sum;
  }
  /// Returns the importance-weighted bound with the log-ratios multiplied by beta.
  double tempered_bound(const ImportanceWeights& op) const {
    const int64_t rows = int64_t{op.inputs.capacity()} * op.samples;
    const auto nll = training_.read(op.nll, rows), log_ratio = training_.read(op.log_ratio, rows);
    double sum = 0.0;
    for (int64_t b = 0; b < op.inputs.capacity(); ++b) {
      double weights = 0.0;
      for (int64_t l = b * op.samples; l < (b + 1) * op.samples; ++l)
        weights += std::exp(config_.beta * log_ratio[static_cast<size_t>(l)] -
                            double{nll[static_cast<size_t>(l)]}) /
                   op.samples;
      sum += std::log(weights);
    }
    return sum / op.inputs.capacity();
  }
  double mean(const float* values, int64_t count) const {
    const std::vector<float> read = training_.read(values, count);
    return std::accumulate(read.begin(), read.end(), 0.0) / static_cast<double>(count);
  }

  Config config_;
  SmallTraining training_;
  std::vector<Phase> phases_;
  std::vector<float> weights_;
};

class CompositionGradient : public testing::TestWithParam<Composed> {};

TEST_P(CompositionGradient, IsTheSlopeOfItsPhasesLosses) {
  Composition model(GetParam());
  const std::vector<float> gradient = model.gradient();
  size_t tensors = 0;
  for (size_t index = 0; index < model.phases().size(); ++index) {
    const ParameterRange range = range_of(model.phases()[index], model.architecture());
    for (const Parameter& p : model.architecture().layout().parameters()) {
      if (!range.contains(p.offset)) continue;
      ++tensors;
      const double norm = gradient_norm(gradient, p);
      ASSERT_GT(norm, 1e-4) << p.name << " has no gradient";
      const auto [direction, expected] = probe_direction(gradient, p, 5);
      const auto [slope, error] = slope_along(model.weights(), direction, [&](const auto& weights) {
        return model.loss(index, weights);
      });
      EXPECT_NEAR(expected, slope, error) << model.phases()[index].name << ", " << p.name;
      EXPECT_LT(error, 0.03 * norm + 1e-3) << p.name << ": no proof";
    }
  }
  EXPECT_EQ(tensors, model.architecture().layout().parameters().size());
}

INSTANTIATE_TEST_SUITE_P(Cases, CompositionGradient, testing::ValuesIn(kCompositions),
                         [](const auto& tested) { return std::string(tested.param.name); });

// If all dimensions or none exceeded the free bits, the gradient test would not test the threshold.
TEST(Composition, FreeBitsAreExceededBySomeDimensionsOnly) {
  for (const Composed& parts : kCompositions) {
    if (std::string_view(parts.name) != "free_bits") continue;
    Composition model(parts);
    const double free = model.config().free_bits;
    int above = 0;
    const std::vector<double> kl = model.divergences();
    for (const double value : kl) {
      EXPECT_GT(std::abs(value - free), 0.05) << "difference quotients would meet the kink";
      above += value > free ? 1 : 0;
    }
    EXPECT_GT(above, 0);
    EXPECT_LT(above, static_cast<int>(kl.size()));
  }
}

TEST(Composition, OfSamplesAloneLeavesTheEncoderAlone) {
  // A pure GAN: the discriminator sees only decoded samples, and there is no reconstruction loss.
  Composition model({"gan",
                     {{"discriminator", "data"},
                      {"discriminator-inputs", "samples"},
                      {"reconstruction-weight", "0"}}});
  const std::vector<float> gradient = model.gradient();
  const auto largest = [&](Part part) {
    const ParameterRange range = model.architecture().range(part);
    float most = 0.0f;
    for (int64_t i = range.begin; i < range.end; ++i)
      most = std::max(most, std::abs(gradient[static_cast<size_t>(i)]));
    return most;
  };
  EXPECT_EQ(largest(Part::encoder), 0.0f);
  EXPECT_GT(largest(Part::decoder), 0.0f);
  EXPECT_GT(largest(Part::discriminator), 0.0f);
}

TEST(Composition, WatchingDiscriminatorLeavesTheModelAlone) {
  const std::vector<std::pair<const char*, const char*>> vae = {{"likelihood", "bernoulli"}};
  auto watched = vae;
  watched.insert(watched.end(), {{"discriminator", "data"}, {"generator-loss", "none"}});
  Composition alone({"vae", vae}), both({"watched", watched});
  EXPECT_EQ(both.phases().size(), 2u);
  const std::vector<float> want = alone.gradient(), all = both.gradient();
  const ParameterRange range = both.architecture().range(Part::discriminator);
  EXPECT_EQ(std::vector(all.begin(), all.begin() + range.begin), want);
}

/// V(D, G) computed from the reported terms equals its value at D's probabilities.
TEST(Composition, ReportsTheGanValue) {
  Composition model({"gan", {{"discriminator", "data"}, {"likelihood", "bernoulli"}}});
  // If the last layer's weights are zero, the discriminator returns the same value for all inputs.
  std::vector<float> weights = model.weights();
  const auto fill = [&](const char* name, float value) {
    const Parameter* p = model.architecture().layout().find(name);
    ASSERT_NE(p, nullptr);
    std::fill_n(weights.begin() + p->offset, p->count(), value);
  };
  fill("discriminator.output.weight", 0.0f);
  fill("discriminator.output.bias", 0.75f);
  const StepRecord record = model.run(weights);
  const double d = 1.0 / (1.0 + std::exp(-0.75));
  EXPECT_NEAR(model.term(record, "d_real"), d, 1e-6);
  EXPECT_NEAR(model.term(record, "d_generated"), d, 1e-6);
  std::vector<std::pair<std::string_view, double>> terms;
  for (const char* name : {"nll_real", "nll_generated"})
    terms.emplace_back(name, model.term(record, name));
  terms.emplace_back("d_real", d);
  terms.emplace_back("d_generated", d);
  EXPECT_NEAR(metrics_of(terms).front().value, std::log(d) + std::log(1.0 - d), 1e-6);
}

TEST(Composition, DiscriminatorRateMultipliesItsSteps) {
  const auto moved = [](const char* rate) {
    Config config = composed_config(
        {"gan", {{"discriminator", "data"}, {"discriminator-learning-rate-ratio", rate}}});
    config.learning_rate = 1e-3;
    SmallTraining training(config, labelled_data(), false);
    const std::vector<float> before = training.weights();
    training.step();
    const std::vector<float> after = training.weights();
    std::array<double, 2> distance = {};
    const ParameterRange range = training.model.architecture.range(Part::discriminator);
    for (size_t i = 0; i < after.size(); ++i)
      distance[range.contains(static_cast<int64_t>(i)) ? 1 : 0] += std::abs(after[i] - before[i]);
    return distance;
  };
  const auto plain = moved("1"), half = moved("0.5");
  // Adam's first step moves every element with a gradient by the learning rate. The generator's
  // gradient depends on the updated discriminator, but its step has the same length.
  EXPECT_NEAR(half[1], 0.5 * plain[1], 1e-3 * plain[1]);
  EXPECT_NEAR(half[0], plain[0], 0.05 * plain[0]);
}

/// With clipping, the gradient of each phase is clipped by its own norm.
TEST(Composition, ClipsPhaseByPhase) {
  Config config = composed_config({"gan", {{"discriminator", "data"}, {"clip-norm", "0.1"}}});
  config.optimizer = math::Optimizer::of<math::Sgd>();
  config.momentum = 0.0;
  config.learning_rate = 1.0;
  SmallTraining training(config, labelled_data(), false);
  const std::vector<float> before = training.weights();
  training.step();
  const std::vector<float> after = training.weights();
  for (const Phase& phase : phases_of(config)) {
    const ParameterRange range = range_of(phase, training.model.architecture);
    double square = 0.0;
    for (int64_t i = range.begin; i < range.end; ++i)
      square += std::pow(after[static_cast<size_t>(i)] - before[static_cast<size_t>(i)], 2.0);
    EXPECT_NEAR(std::sqrt(square), 0.1, 1e-4) << phase.name;
  }
}

TEST(Recipes, AreValidAndHaveAComposition) {
  for (const Recipe& recipe : recipes()) {
    const Config config = config_for_recipe(recipe.name);
    EXPECT_NO_THROW(config.check()) << recipe.name;
    EXPECT_FALSE(describe_composition(config, kExampleShape).empty());
    for (const Phase& phase : phases_of(config)) EXPECT_FALSE(phase.losses.empty()) << recipe.name;
  }
}

TEST(FittingParts, NameBothSettingsAndWhatWouldFit) {
  const struct {
    std::vector<std::pair<const char*, const char*>> settings;
    std::vector<const char*> words;
  } cases[] = {
      {{{"code-l1", "0.01"}}, {"code-l1 0.01", "bottleneck gaussian", "use bottleneck determ"}},
      {{{"likelihood", "none"}}, {"likelihood none", "classifier none", "use a likelihood"}},
      {{{"bottleneck", "none"}}, {"bottleneck none", "likelihood mse", "likelihood none"}},
      {{{"likelihood", "none"}, {"classifier", "cross-entropy"}},
       {"bottleneck gaussian", "likelihood none", "use bottleneck none"}},
      {{{"likelihood", "none"},
        {"bottleneck", "none"},
        {"classifier", "cross-entropy"},
        {"discriminator", "code"}},
       {"discriminator code", "likelihood none", "discriminator none"}},
      {{{"bottleneck", "deterministic"}, {"samples", "2"}},
       {"samples 2", "bottleneck deterministic", "samples 1"}},
      {{{"bottleneck", "deterministic"}, {"posterior-variance", "shared"}},
       {"posterior-variance shared", "bottleneck deterministic", "use bottleneck gaussian"}},
      {{{"bottleneck", "deterministic"}, {"kl-warmup-epochs", "3"}},
       {"kl-warmup-epochs 3", "bottleneck deterministic", "kl-warmup-epochs 0"}},
      {{{"bottleneck", "deterministic"}, {"kl-warmup-steps", "3"}},
       {"kl-warmup-steps 3", "bottleneck deterministic", "kl-warmup-steps 0"}},
      {{{"bottleneck", "deterministic"}, {"free-bits", "0.5"}},
       {"free-bits 0.5", "bottleneck deterministic", "free-bits 0"}},
      {{{"kl-warmup-steps", "3"}, {"kl-warmup-epochs", "1"}},
       {"kl-warmup-steps 3", "kl-warmup-epochs 1", "one of them"}},
      {{{"kl-cycles", "4"}, {"kl-warmup-epochs", "1"}},
       {"kl-cycles 4", "kl-warmup-epochs 1", "kl-cycle-ratio"}},
      {{{"kl-capacity", "4"}, {"free-bits", "1"}}, {"kl-capacity 4", "free-bits 1", "only one"}},
      {{{"kl-capacity-epochs", "4"}}, {"kl-capacity-epochs 4", "kl-capacity 0"}},
      {{{"objective", "iwae"}, {"bottleneck", "deterministic"}},
       {"objective iwae", "bottleneck deterministic", "bottleneck gaussian"}},
      {{{"objective", "iwae"}, {"free-bits", "1"}},
       {"objective iwae", "free-bits 1", "objective elbo"}},
      {{{"objective", "iwae"}, {"kl-capacity", "1"}},
       {"objective iwae", "kl-capacity 1", "objective elbo"}},
      {{{"objective", "iwae"}, {"reconstruction-weight", "2"}},
       {"objective iwae", "reconstruction-weight 2", "reconstruction-weight 1"}},
      {{{"learning-rate-schedule", "multistep"}},
       {"multistep", "no learning-rate-milestones", "epochs at which"}},
      {{{"learning-rate-milestones", "1,2"}},
       {"learning-rate-schedule constant", "learning-rate-milestones", "multistep"}},
      {{{"adam-second-moment-init", "1"}, {"optimizer", "sgd"}},
       {"adam-second-moment-init 1", "optimizer sgd", "use an adam"}},
      {{{"bottleneck", "deterministic"}, {"noise-source", "curand"}},
       {"noise-source curand", "bottleneck deterministic", "noise-source philox"}},
      {{{"likelihood", "discretized-logistic"}, {"binarize", "fixed"}},
       {"binarize fixed", "likelihood discretized-logistic", "use binarize auto"}},
      {{{"corruption", "masking"}, {"corruption-level", "1.5"}},
       {"corruption-level 1.5", "corruption masking", "between 0 and 1"}},
      {{{"reconstruction-weight", "0"}},
       {"reconstruction-weight 0", "discriminator none", "above 0"}},
  };
  for (const auto& [settings, words] : cases) {
    Config config = small_config();
    config.likelihood = math::Likelihood::of<math::Mse>();
    config.samples = 1;
    for (const auto& [key, value] : settings) apply_setting(config, key, value);
    try {
      config.check();
      ADD_FAILURE() << words.front() << " was accepted";
    } catch (const ConfigError& error) {
      const std::string text = error.what();
      EXPECT_EQ(text.find('\n'), std::string::npos);
      for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << text;
    }
  }
}

TEST(FittingParts, WantLabelsAndValuesInRange) {
  Config config = small_config();
  config.samples = 1;
  config.classifier = math::ClassLoss::of<math::CrossEntropy>();
  EXPECT_THROW(signature_of(config, small_data(8)), DataError);
  EXPECT_EQ(signature_of(config, labelled_data()).classes, kClasses);
  config.classifier = std::nullopt;
  config.corruption = math::Corruption::of<math::SaltAndPepper>();
  EXPECT_NO_THROW(config.ModelSettings::check(small_data(8)));
  const Dataset wide = Dataset::from_rows(uniform_floats(8 * kSmallDim, -2.0f, 2.0f, 1),
                                          {kSmallDim}, {.validation_fraction = 0.0});
  EXPECT_THROW(config.ModelSettings::check(wide), DataError);
  config.corruption = math::Corruption::of<math::GaussianCorruption>();
  EXPECT_NO_THROW(config.ModelSettings::check(wide));
}

template <class T>
Dataset rows_of_shape(const Shape& shape) {
  return Dataset::from_rows(std::vector<T>(static_cast<size_t>(4 * element_count(shape))), shape,
                            {.validation_fraction = 0.0});
}

/// Returns the message of the DataError for this data set, or "none" if it is accepted.
std::string refusal(const Config& config, const Dataset& data) {
  try {
    config.ModelSettings::check(data);
  } catch (const DataError& error) {
    return error.what();
  }
  return "none";
}

TEST(FittingParts, WantBytesWhereTheLikelihoodIsOverBytes) {
  Config config = small_config();
  config.likelihood = math::Likelihood::of<math::DiscretizedLogistic>();
  EXPECT_EQ(refusal(config, rows_of_shape<uint8_t>({5})), "none");
  const std::string text = refusal(config, rows_of_shape<float>({5}));
  for (const char* word : {"f32", "discretized-logistic", "u8"})
    EXPECT_NE(text.find(word), std::string::npos) << text;
}

TEST(FittingParts, WantPicturesToFlipAndShift) {
  Config config = small_config();
  for (const Shape& shape : {Shape{784}, Shape{2, 4, 5}, Shape{1, 3, 4, 4}}) {
    config.flip = Flip::none, config.shift = 0;
    EXPECT_EQ(refusal(config, rows_of_shape<float>(shape)), "none");
    config.flip = Flip::horizontal;
    const std::string text = refusal(config, rows_of_shape<float>(shape));
    for (const std::string& word : {to_string(shape), std::string("flip horizontal")})
      EXPECT_NE(text.find(word), std::string::npos) << text;
  }
  for (const Shape& shape : {Shape{6, 5}, Shape{6, 5, 3}, Shape{3, 5, 6}, Shape{5, 6, 1}}) {
    config.shift = 4;
    EXPECT_EQ(refusal(config, rows_of_shape<float>(shape)), "none");
    config.shift = 5;
    const std::string text = refusal(config, rows_of_shape<float>(shape));
    for (const char* word : {"shift 5", "less than 5"})
      EXPECT_NE(text.find(word), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace elbo
