#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/train/generation.hpp"

namespace elbo::cli {

void add_sample(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    int64_t count = 64;
    int64_t seed = 1;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("sample", "Draw samples from the model: E[x|z] for z ~ N(0, I)");
  flags->model.add(*command);
  add_value(*command, "--count", "N", flags->count, AtLeast{1}, "number of samples");
  add_value(*command, "--seed", "N", flags->seed, AtLeast{0, kLargestSeed},
            "random seed of the samples");
  add_value(*command, "--out", "FILE", flags->out, NotEmpty{}, "file to write, .png or .npy")
      ->required();
  command->callback([flags] {
    require_extension(flags->out, {".png", ".npy"});
    const Model model = flags->model.load();
    const std::vector<float> means =
        sample(model, flags->count, static_cast<uint64_t>(flags->seed));
    write_samples(flags->out, means, model.data.sample_shape);
  });
}

}  // namespace elbo::cli
