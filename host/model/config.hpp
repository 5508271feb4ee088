// Every setting of a training run, in one list: the list makes the command line's flags, the
// config file's keys, the resolved config of a run and the names offered for a misspelt one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

struct Config {
  // model
  std::string recipe = "vae";
  std::string network = "dense";
  std::vector<int64_t> channels = {};
  int64_t kernel_size = 4;
  std::string downsampling = "strided";
  std::string upsampling = "transposed";
  std::string normalization = "none";
  int64_t residual_blocks = 0;
  std::vector<int64_t> hidden = {512, 256};
  std::string activation = "relu";
  std::string bottleneck = "gaussian";
  int64_t latent_dim = 32;
  std::string code_activation = "identity";
  std::string likelihood = "gaussian";
  double mse_variance = 1.0;
  std::string posterior_variance = "input";
  int64_t samples = 1;
  std::string classifier = "none";
  std::vector<int64_t> classifier_hidden = {};
  std::string discriminator = "none";
  std::vector<int64_t> discriminator_hidden = {512, 256};
  std::string discriminator_activation = "leaky-relu";
  // objective
  std::string objective = "elbo";
  double reconstruction_weight = 1.0;
  double beta = 1.0;
  double kl_warmup_epochs = 0.0;
  int64_t kl_warmup_steps = 0;
  int64_t kl_cycles = 0;
  double kl_cycle_rise = 0.5;
  double free_bits = 0.0;
  double kl_capacity = 0.0;
  double kl_capacity_epochs = 0.0;
  double code_l1 = 0.0;
  double classifier_weight = 1.0;
  double adversarial_weight = 1.0;
  std::string generator_loss = "non-saturating";
  std::string judged = "both";
  double discriminator_rate = 1.0;
  // data
  std::string dataset;
  int64_t image_size = 0;
  std::string image_channels = "auto";
  bool skip_bad = false;
  std::string cache;
  double validation_fraction = 0.1;
  std::string validation_split = "random";
  std::string dequantize = "uniform";
  std::string binarize = "auto";
  std::string corruption = "none";
  double corruption_level = 0.25;
  std::string flip = "none";
  int64_t crop = 0;
  int64_t data_window = 0;
  // training
  int64_t epochs = 20;
  int64_t steps = 0;
  int64_t batch_size = 128;
  std::string optimizer = "adam";
  double learning_rate = 1e-3;
  std::string learning_rate_schedule = "constant";
  double learning_rate_floor = 0.01;
  std::vector<double> learning_rate_milestones = {};
  double learning_rate_gamma = 0.1;
  double learning_rate_warmup_epochs = 0.0;
  double momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double second_moment_start = 0.0;
  double weight_decay = 0.0;
  double clip_norm = 0.0;
  std::string loss_reduction = "mean";
  std::string output_init = "data";
  int64_t early_stopping = 0;
  std::string on_divergence = "stop";
  int64_t seed = 1;
  std::string noise = "philox";
  // execution
  std::string device = "auto";
  std::string precision = "auto";
  int64_t threads = 0;
  int64_t metrics_interval = 0;
  int64_t report_epochs = 0;
  int64_t picture_count = 64;
  int64_t keep = 2;
  double checkpoint_minutes = 10.0;
  double max_minutes = 0.0;

  bool operator==(const Config&) const = default;
};

/// Calls `visit(key, member, help)` for every setting, in the order people read them. Keys are the
/// flags without their dashes.
template <class C, class Visit>
void for_each_setting(C& c, Visit&& visit) {
  visit("recipe", c.recipe, "named set of settings to start from (see `elbo list recipes`)");
  visit("network", c.network,
        "of encoder, decoder and discriminator data: dense; conv: stages that halve a picture's "
        "size, then the hidden layers");
  visit("channels", c.channels,
        "channels of each stage of network conv; none given: 32, doubled up to 256, down to 3 to 5 "
        "pixels");
  visit("kernel-size", c.kernel_size, "taps of a stage's convolution in each direction");
  visit("downsampling", c.downsampling,
        "how a stage halves: strided, by its convolution; average, pooling after it");
  visit("upsampling", c.upsampling,
        "how the decoder doubles: transposed, by its convolution; nearest or bilinear before it");
  visit("normalization", c.normalization,
        "of a stage's channels, before its activation: none; group (Wu and He 2018)");
  visit("residual-blocks", c.residual_blocks,
        "residual blocks in each stage, between its convolution and its activation");
  visit("hidden", c.hidden, "widths of the encoder's hidden layers; the decoder mirrors them");
  visit("activation", c.activation, "activation of the hidden layers (`elbo list activations`)");
  visit("bottleneck", c.bottleneck,
        "code z: gaussian, drawn from q(z|x); deterministic, a layer; none, the last hidden layer, "
        "for a classifier alone");
  visit("latent-dim", c.latent_dim, "elements of z");
  visit("code-activation", c.code_activation, "activation of a deterministic code");
  visit("likelihood", c.likelihood, "p(x|z) (`elbo list likelihoods`), or none: no decoder");
  visit("mse-variance", c.mse_variance, "variance of likelihood mse");
  visit("posterior-variance", c.posterior_variance,
        "input: a function of x; shared: one per latent variable");
  visit("samples", c.samples, "samples of z per input: k");
  visit("classifier", c.classifier,
        "classifies z by the data set's labels: none, or the loss (`elbo list class-losses`)");
  visit("classifier-hidden", c.classifier_hidden, "widths of the classifier's hidden layers");
  visit("discriminator", c.discriminator,
        "tells real from generated: none; data: x from what the decoder makes; code: draws from "
        "N(0, I) from z");
  visit("discriminator-hidden", c.discriminator_hidden,
        "widths of the discriminator's hidden layers");
  visit("discriminator-activation", c.discriminator_activation, "activation of those layers");
  visit("objective", c.objective,
        "elbo: reconstruction - beta KL, its mean over the samples; iwae: log of the mean of the "
        "samples' importance weights (Burda et al. 2016)");
  visit("reconstruction-weight", c.reconstruction_weight,
        "weight of -log p(x|z) in the training loss; 0: decode without reconstructing");
  visit("beta", c.beta, "weight of the KL divergence in the training loss");
  visit("kl-warmup-epochs", c.kl_warmup_epochs, "epochs over which beta grows from 0, linearly");
  visit("kl-warmup-steps", c.kl_warmup_steps, "the same in steps");
  visit("kl-cycles", c.kl_cycles,
        "times that beta grows from 0 over the training (Fu et al. 2019); 0: no cycles");
  visit("kl-cycle-rise", c.kl_cycle_rise, "the part of a cycle in which beta grows");
  visit("free-bits", c.free_bits,
        "nats of KL that each latent variable has free, in the mean over the batch (Kingma et al. "
        "2016)");
  visit("kl-capacity", c.kl_capacity,
        "nats that the KL is held at: beta |KL - capacity| (Burgess et al. 2018); 0: plain KL");
  visit("kl-capacity-epochs", c.kl_capacity_epochs,
        "epochs over which the capacity grows from 0, linearly");
  visit("code-l1", c.code_l1, "weight of sum |z| in the training loss, for a deterministic code");
  visit("classifier-weight", c.classifier_weight, "weight of the classifier's loss");
  visit("adversarial-weight", c.adversarial_weight,
        "weight of the generator's loss, which makes the discriminator err");
  visit("generator-loss", c.generator_loss,
        "non-saturating: -log D; saturating: log(1 - D); none: the discriminator only watches");
  visit("judged", c.judged,
        "what discriminator data sees: samples of the prior, reconstructions, or both");
  visit("discriminator-rate", c.discriminator_rate,
        "the discriminator's learning rate, as a multiple of learning-rate");
  visit("dataset", c.dataset, "directory or file to train on, where not given as DATASET");
  visit("image-size", c.image_size,
        "height and width that pictures are scaled to, the longer side cut; 0: as they are");
  visit("image-channels", c.image_channels,
        "of pictures: grey, rgb, or auto: grey where all of them are");
  visit("skip-bad", c.skip_bad, "leave pictures out that cannot be read, rather than stop");
  visit("cache", c.cache, "directory for decoded pictures; empty: elbo-cache beside the run");
  visit("validation-fraction", c.validation_fraction,
        "part of train held out where there is no validation file; 0 trains on every row");
  visit("validation-split", c.validation_split,
        "which part that is: random, chosen by seed; last, the last rows");
  visit("dequantize", c.dequantize,
        "8-bit data under a Gaussian likelihood: uniform adds noise so that densities are honest, "
        "none takes x = v/255 as it is");
  visit("binarize", c.binarize,
        "auto: dynamic for likelihood bernoulli, else none; dynamic: drawn anew at every step; "
        "fixed: drawn once; none: grey values");
  visit("corruption", c.corruption,
        "of what the encoder reads in training, while clean x is reconstructed (`elbo list "
        "corruptions`)");
  visit("corruption-level", c.corruption_level,
        "standard deviation of gaussian corruption, else the probability of an element's");
  visit("flip", c.flip, "horizontal: pictures are mirrored with probability 1/2, in training only");
  visit(
      "crop", c.crop,
      "pixels by which pictures are shifted at most, in every direction, their edges mirrored; in "
      "training only; 0: not at all");
  visit("data-window", c.data_window,
        "rows on the device at a time, shuffled among themselves while the next as many are copied "
        "there; 0: all, or as many as fit half of a GPU's free memory");
  visit("epochs", c.epochs, "passes over the training split");
  visit("steps", c.steps, "optimizer steps, instead of epochs; 0: use epochs");
  visit("batch-size", c.batch_size, "inputs per step");
  visit("optimizer", c.optimizer, "update rule (`elbo list optimizers`)");
  visit("learning-rate", c.learning_rate, "step size");
  visit("learning-rate-schedule", c.learning_rate_schedule,
        "decay over the whole training (`elbo list schedules`)");
  visit("learning-rate-floor", c.learning_rate_floor,
        "what the schedule ends at, as a part of learning-rate");
  visit("learning-rate-milestones", c.learning_rate_milestones,
        "epochs, or parts of them, at which schedule multistep falls");
  visit("learning-rate-gamma", c.learning_rate_gamma, "the factor by which it falls");
  visit("learning-rate-warmup-epochs", c.learning_rate_warmup_epochs,
        "epochs over which the learning rate grows from 0, linearly");
  visit("momentum", c.momentum, "of optimizer sgd");
  visit("beta1", c.beta1, "decay of Adam's first moment");
  visit("beta2", c.beta2, "decay of Adam's second moment");
  visit("epsilon", c.epsilon, "Adam's and Adagrad's epsilon");
  visit("second-moment-start", c.second_moment_start, "what Adam's second moment starts at");
  visit("weight-decay", c.weight_decay,
        "times the weights is added to the gradient; decoupled in adamw");
  visit("clip-norm", c.clip_norm, "largest 2-norm of the whole gradient; 0: no clipping");
  visit("loss-reduction", c.loss_reduction,
        "over a batch's inputs: mean, or sum, whose gradients are batch-size times as large");
  visit("output-init", c.output_init,
        "data: the decoder's output bias starts at the data's mean and variance; zero: at 0");
  visit("early-stopping", c.early_stopping,
        "stop after this many epochs without a better validation score; 0: never");
  visit("on-divergence", c.on_divergence,
        "when loss, gradients or weights are no longer finite: stop; rollback, go on from the last "
        "checkpoint with half the learning rate, 5 times at most");
  visit("seed", c.seed, "of weights, order, noise and validation split");
  visit("noise", c.noise, "philox: drawn in registers; curand: from cuRAND's generator");
  visit("device", c.device, "auto, cpu, cuda or cuda:N");
  visit("precision", c.precision,
        "of training's products: fp32; tf32: on GPUs only; bf16: faster on GPUs, and on processors "
        "with AMX or AVX512-BF16; auto: tf32 on a GPU, fp32 on the CPU");
  visit("threads", c.threads, "CPU threads; 0: all. Results do not depend on it");
  visit("metrics-interval", c.metrics_interval,
        "steps between lines of metrics.jsonl; 0: 100, or so that there are at most 10000");
  visit("report-epochs", c.report_epochs,
        "epochs between validations, pictures and checkpoints; 0: so that there are at most 100");
  visit("picture-count", c.picture_count, "samples and reconstructions in a picture; 0: none");
  visit("keep", c.keep, "newest checkpoints kept, beside the best");
  visit("checkpoint-minutes", c.checkpoint_minutes,
        "between checkpoints, where a report does not write one before; 0: at reports alone");
  visit("max-minutes", c.max_minutes,
        "after which a training stops with a checkpoint, for `elbo resume`; 0: never");
}

/// The settings as TOML, every key present, in order.
std::string to_toml(const Config& config);

/// Sets the keys given in TOML text; `source` names it in errors. A `recipe` key is applied first.
/// Throws ConfigError for syntax errors, unknown keys (offering the nearest) and wrong types.
void apply_toml(Config& config, std::string_view text, const std::string& source);
void apply_toml_file(Config& config, const std::filesystem::path& path);

/// Sets one key from text as on the command line. Throws ConfigError.
void apply_setting(Config& config, std::string_view key, std::string_view value);

/// Checks every setting against its range and the lists. Throws ConfigError naming the first
/// wrong one, what was got and what is wanted.
void validate(const Config& config);

/// The candidate nearest to `name` in edit distance, for "did you mean".
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace elbo
