#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/train/generation.hpp"

namespace elbo::cli {

void add_sample(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    int64_t count = 64;
    uint64_t seed = 1;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("sample", "Draw samples from the model: E[x|z] for z ~ N(0, I)");
  flags->model.add(*command);
  command->add_option("--count", flags->count, "number of samples")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "random seed of the samples")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--out", flags->out, "file to write, .png or .npy")
      ->required()
      ->type_name("FILE");
  command->callback([flags] {
    require_positive("count", flags->count);
    require_extension(flags->out, {".png", ".npy"});
    const Model model = flags->model.load();
    const std::vector<float> means = sample(model, flags->count, flags->seed);
    write_samples(flags->out, means, model.data.sample_shape);
  });
}

}  // namespace elbo::cli
