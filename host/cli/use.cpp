// The commands that use a trained model: evaluate, sample, reconstruct, encode, decode.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "host/cli/commands.hpp"
#include "host/cli/progress.hpp"
#include "host/data/sample_pictures.hpp"
#include "host/io/file_error.hpp"
#include "host/io/npy.hpp"
#include "host/io/png.hpp"
#include "host/train/generation.hpp"
#include "host/train/run_directory.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

namespace fs = std::filesystem;

/// What a file to be written is called for. Throws ConfigError for other endings.
std::string extension_of(const std::string& path, std::initializer_list<const char*> allowed) {
  const std::string extension = fs::path(path).extension().string();
  std::string want;
  for (const char* each : allowed) {
    if (extension == each) return extension;
    want += (want.empty() ? "" : " or ") + std::string(each);
  }
  throw ConfigError("out: '" + path + "' must end in " + want);
}

Shape with_rows(int64_t rows, const Shape& sample_shape) {
  Shape shape = {rows};
  shape.insert(shape.end(), sample_shape.begin(), sample_shape.end());
  return shape;
}

void require_positive(const char* flag, int64_t value) {
  if (value < 1)
    throw ConfigError(std::string(flag) + ": got '" + std::to_string(value) + "', want at least 1");
}

}  // namespace

void DeviceFlags::add(CLI::App& command) {
  command.add_option("--device", device, "auto, cpu, cuda or cuda:N")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--threads", threads, "CPU threads; 0: all")
      ->type_name("N")
      ->capture_default_str();
}

std::shared_ptr<Device> DeviceFlags::make() const {
  return make_device(device, static_cast<int>(threads));
}

void ModelFlags::add(CLI::App& command) {
  command.add_option("RUN", run, "run directory, or a checkpoint file")->required();
  command.add_option("--checkpoint", which, "best or last, of a run directory")
      ->type_name("NAME")
      ->check(CLI::IsMember({"best", "last"}))
      ->capture_default_str();
  device.add(command);
}

Model ModelFlags::load(std::optional<int64_t> samples) const {
  return load_model(find_checkpoint(run, which), device.make(), samples);
}

std::string describe(std::string_view split, const Evaluation& e) {
  std::string text(split);
  const auto add = [&](const char* format, auto... values) {
    char part[200];
    std::snprintf(part, sizeof part, format, values...);
    text += part;
  };
  add(": %lld rows", static_cast<long long>(e.count));
  bool headed = false;
  for_each_estimate(e, [&](const char* name, const Estimate& estimate, Measure) {
    if (std::isnan(estimate.value)) return;
    const bool bits = !std::isnan(estimate.bits_per_dim);
    if (!headed) add("\n  %-14s %21s%s", "", "nats per sample", bits ? "            bits/dim" : "");
    headed = true;
    add("\n  %-14s %11.3f ± %7.3f", name, estimate.value, estimate.standard_error);
    if (bits) add("   %8.4f ± %.4f", estimate.bits_per_dim, estimate.bits_per_dim_standard_error);
    if (name == std::string_view("nll"))
      add("  -log p(x) by %lld importance samples", static_cast<long long>(e.importance_samples));
  });
  if (!std::isnan(e.cross_entropy_floor))
    add("\n  targets are grey: a cross-entropy, not a likelihood; floor %.2f nats",
        e.cross_entropy_floor);
  if (!std::isnan(e.elbo.value))
    add("\n  %lld active units", static_cast<long long>(e.active_units));
  if (!std::isnan(e.squared_error))
    add("\n  squared error %.4f, PSNR %.2f dB", e.squared_error, e.psnr);
  if (!std::isnan(e.input_psnr)) add(", of the corrupted input %.2f dB", e.input_psnr);
  if (!std::isnan(e.l1)) {
    add("\n  code: sum |z| %.3f", e.l1);
    if (!std::isnan(e.zero_codes)) add(", %.1f %% zeros", 100.0 * e.zero_codes);
  }
  if (!std::isnan(e.accuracy))
    add("\n  accuracy %.2f %%, classification loss %.4f", 100.0 * e.accuracy, e.class_loss);
  if (!std::isnan(e.gan_value))
    add("\n  V(D, G) %.4f (log 1/4 is -1.3863), mean D %.3f of real, %.3f of generated",
        e.gan_value, e.d_real, e.d_generated);
  return text;
}

void add_evaluate(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    std::optional<int64_t> samples, importance_samples;
    bool json = false, quiet = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "evaluate", "A model's evidence lower bound, errors, accuracy on a data set: what it has");
  flags->model.add(*command);
  flags->data.add(*command);
  command
      ->add_option("--samples", flags->samples,
                   "Monte Carlo samples per row (default: as in training)")
      ->type_name("N");
  command
      ->add_option("--importance-samples", flags->importance_samples,
                   "also estimate -log p(x) from this many weighted samples per row (nll), from "
                   "above: the more, the closer; papers take 5000")
      ->type_name("K");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->add_flag("--quiet", flags->quiet, "show no progress, not on a terminal either");
  command->callback([flags] {
    if (flags->importance_samples)
      require_positive("importance-samples", *flags->importance_samples);
    const Model model = flags->model.load(flags->samples);
    const Dataset data = flags->data.open(flags->model, model, flags->quiet);
    const Split& split = data.split(flags->data.split);
    ImportanceSampling importance = {.samples = flags->importance_samples.value_or(0)};
    Evaluation result;
    {
      constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
      const int64_t rows = std::max<int64_t>(1, split.size());
      WorkDisplay display("samples", rows * std::min(importance.samples, kMost / rows),
                          flags->quiet);
      importance.on_progress = [&](int64_t weighed) { display.add(weighed); };
      result = Evaluator(model, split).evaluate(importance);
    }
    if (flags->json)
      std::printf("%s\n", to_json(result).c_str());
    else
      std::printf("%s\n", describe(flags->data.split, result).c_str());
  });
}

void add_sample(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    int64_t count = 64;
    uint64_t seed = 1;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("sample", "Draw from the model: E[x|z] for z ~ N(0, I)");
  flags->model.add(*command);
  command->add_option("--count", flags->count, "how many")->type_name("N")->capture_default_str();
  command->add_option("--seed", flags->seed, "of the draws")->type_name("N")->capture_default_str();
  command->add_option("--out", flags->out, ".png or .npy file")->required()->type_name("FILE");
  command->callback([flags] {
    require_positive("count", flags->count);
    const std::string kind = extension_of(flags->out, {".png", ".npy"});
    const Model model = flags->model.load();
    const std::vector<float> means = sample(model, flags->count, flags->seed);
    if (kind == ".png")
      write_png(flags->out, tile_grid(means, model.data.sample_shape));
    else
      write_npy(flags->out, with_rows(flags->count, model.data.sample_shape), means);
  });
}

void add_reconstruct(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    int64_t count = 64;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("reconstruct", "Inputs, and below each its reconstruction, as a picture");
  flags->model.add(*command);
  flags->data.add(*command);
  command->add_option("--count", flags->count, "rows of the data set, from its first")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--out", flags->out, ".png file")->required()->type_name("FILE");
  command->callback([flags] {
    require_positive("count", flags->count);
    extension_of(flags->out, {".png"});
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(flags->model, model);
    Evaluator evaluator(model, data.split(flags->data.split));
    write_reconstructions(flags->out, evaluator.reconstruct(flags->count), model.data.sample_shape);
  });
}

void add_encode(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    bool with_logvar = false;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("encode", "Codes of a data set as .npy: posterior means, if there are");
  flags->model.add(*command);
  flags->data.add(*command);
  command->add_flag("--with-logvar", flags->with_logvar,
                    "write [rows, 2 * latent]: means, then log-variances");
  command->add_option("--out", flags->out, ".npy file")->required()->type_name("FILE");
  command->callback([flags] {
    extension_of(flags->out, {".npy"});
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(flags->model, model);
    const Split& split = data.split(flags->data.split);
    const int64_t width = model.architecture.latent() * (flags->with_logvar ? 2 : 1);
    write_npy(flags->out, {split.size(), width},
              Evaluator(model, split).encode(flags->with_logvar));
  });
}

void add_classify(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("classify", "The classifier's probabilities for a data set, as .npy");
  flags->model.add(*command);
  flags->data.add(*command);
  command->add_option("--out", flags->out, ".npy file [rows, classes]")
      ->required()
      ->type_name("FILE");
  command->callback([flags] {
    extension_of(flags->out, {".npy"});
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(flags->model, model);
    const Split& split = data.split(flags->data.split);
    write_npy(flags->out, {split.size(), model.data.classes}, Evaluator(model, split).classify());
  });
}

void add_decode(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    std::string codes, out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("decode", "E[x|z] of codes from a .npy file");
  flags->model.add(*command);
  command->add_option("Z", flags->codes, ".npy file of codes [rows, latent]")->required();
  command->add_option("--out", flags->out, ".npy or .png file")->required()->type_name("FILE");
  command->callback([flags] {
    const std::string kind = extension_of(flags->out, {".npy", ".png"});
    const Model model = flags->model.load();
    const NpyArray codes = open_npy(flags->codes);
    if (codes.shape.size() != 2 || codes.shape[1] != model.architecture.latent() ||
        codes.shape[0] < 1)
      fail_file(flags->codes, "codes have shape " + to_string(codes.shape) + ", want rows x " +
                                  std::to_string(model.architecture.latent()));
    const std::vector<float> means = decode(model, to_floats(codes, flags->codes));
    if (kind == ".png")
      write_png(flags->out, tile_grid(means, model.data.sample_shape));
    else
      write_npy(flags->out, with_rows(codes.shape[0], model.data.sample_shape), means);
  });
}

}  // namespace elbo::cli
