#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/data/shapes.hpp"

namespace elbo::cli {

void add_generate(CLI::App& app) {
  struct Flags {
    std::string directory;
    ShapesOptions options;
    int64_t seed = 1;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("generate", "Generate a synthetic data set");
  command->require_subcommand(1);
  CLI::App* shapes = command->add_subcommand(
      "shapes", "White shapes on black with known position, scale and rotation");
  ShapesOptions& options = flags->options;
  add_value(*shapes, "DIR", "", flags->directory, NotEmpty{}, "new directory")->required();
  add_value(*shapes, "--train-count", "N", options.train_count, Any{}, "number of training images");
  add_value(*shapes, "--test-count", "N", options.test_count, Any{}, "number of test images");
  add_value(*shapes, "--size", "N", options.size, Any{}, "height and width in pixels");
  add_value(*shapes, "--seed", "N", flags->seed, AtLeast{0, kLargestSeed}, "random seed");
  shapes->callback([flags] {
    flags->options.seed = static_cast<uint64_t>(flags->seed);
    generate_shapes(flags->directory, flags->options);
    std::printf("%s",
                Dataset::open(flags->directory, {.validation_fraction = 0.0}).describe().c_str());
  });
}

}  // namespace elbo::cli
