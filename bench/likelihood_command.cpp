#include "bench/likelihood_command.hpp"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "host/measure/median.hpp"
#include "host/measure/step_model.hpp"
#include "host/train/evaluator.hpp"
#include "kernels/core/error.hpp"

namespace elbo::bench {
namespace {

template <class Work>
double seconds_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The decoder's matrix products, computed with dnnl_sgemm. Each thread multiplies its own rows.
class Products {
 public:
  explicit Products(const StepModel& model) {
    const Config config = step_config(model, 1, ChosenPrecision::fp32);
    if (config.network != NetworkType::dense)
      throw ConfigError(
          "model: got '" + std::string(model.name) +
          "', expected one of dense layers: its decoder is compared with their products");
    std::vector<int64_t> widths = {config.latent_dim};
    widths.insert(widths.end(), config.hidden.rbegin(), config.hidden.rend());
    widths.push_back(element_count(model.sample_shape) *
                     (config.likelihood == math::Likelihood::of<math::Gaussian>() ? 2 : 1));
    for (size_t i = 0; i + 1 < widths.size(); ++i)
      layers_.push_back(
          {widths[i], widths[i + 1],
           std::vector<float>(static_cast<size_t>(widths[i] * widths[i + 1]), 0.01f)});
    widest_ = *std::ranges::max_element(widths);
  }

  /// Returns the number of rows per second when each product has `height` rows.
  double rate(int64_t rows, int64_t height, int threads) const {
    const int64_t calls = std::max<int64_t>(threads, rows / height);
    const double seconds = seconds_of([&] {
#pragma omp parallel num_threads(threads)
      {
        omp_set_num_threads(1);
        std::vector<float> x(static_cast<size_t>(height * widest_), 1.0f), y(x.size());
#pragma omp for schedule(static)
        for (int64_t call = 0; call < calls; ++call)
          for (const Layer& layer : layers_) {
            dnnl_sgemm('N', 'T', height, layer.out, layer.in, 1.0f, x.data(), layer.in,
                       layer.weight.data(), layer.in, 0.0f, y.data(), layer.out);
            std::swap(x, y);
          }
      }
    });
    return static_cast<double>(calls * height) / seconds;
  }

 private:
  struct Layer {
    int64_t in, out;
    std::vector<float> weight;
  };
  std::vector<Layer> layers_;
  int64_t widest_;
};

Split first_rows(const Dataset& data, int64_t rows) {
  Split split = data.split(data.has("test") ? "test" : "train");
  if (rows > split.size())
    throw ConfigError("images: got " + std::to_string(rows) + ", but there are " +
                      std::to_string(split.size()));
  if (split.index.empty()) {
    split.index.resize(static_cast<size_t>(rows));
    std::iota(split.index.begin(), split.index.end(), 0u);
  }
  split.index.resize(static_cast<size_t>(rows));
  return split;
}

}  // namespace

void run_likelihood_command(const LikelihoodCommand& command, const std::string& device_name,
                            int threads) {
  const std::shared_ptr<Device> device = make_device(device_name, threads);
  if (device->kind() != DeviceKind::cpu)
    throw ConfigError("device: got '" + device_name + "', expected cpu: the products are oneDNN's");
  const StepModel& step = step_model(command.model);
  Dataset data = command.data.empty() ? random_rows(step, command.images)
                                      : Dataset::open(command.data, {.validation_fraction = 0.0});
  const Split split = first_rows(data, command.images);
  const Products products(step);
  const TrainingStep training(step, std::move(data), {.batch = 1}, device);
  Evaluator evaluator(training.model, split);

  const int64_t heights[] = {64, 256, 1024};
  const int64_t rows = command.images * command.samples;
  std::vector<double> decoded;
  std::vector<double> log_likelihoods;  // [images]
  std::map<int64_t, std::vector<double>> multiplied;
  for (int64_t round = 0; round < command.rounds; ++round) {
    const double seconds = seconds_of(
        [&] { log_likelihoods = evaluator.log_likelihoods({.samples = command.samples}); });
    decoded.push_back(static_cast<double>(rows) / seconds);
    for (const int64_t height : heights)
      multiplied[height].push_back(products.rate(rows / 4, height, threads));
  }
  nlohmann::json gemm;
  double best = 0.0;
  for (const auto& [height, rates] : multiplied) {
    gemm[std::to_string(height)] = median(rates);
    best = std::max(best, median(rates));
  }
  const double rate = median(decoded);
  const nlohmann::json result = {
      {"device", device->describe()},
      {"model", command.model},
      {"images", command.images},
      {"importance_samples", command.samples},
      {"nll", -std::reduce(log_likelihoods.begin(), log_likelihoods.end()) /
                  static_cast<double>(command.images)},
      {"seconds", static_cast<double>(rows) / rate},
      {"decoder_rows_per_s", rate},
      {"gemm_rows_per_s_by_height", gemm},
      {"share_of_fastest_gemm", rate / best}};
  std::cout << result << '\n';
}

}  // namespace elbo::bench
