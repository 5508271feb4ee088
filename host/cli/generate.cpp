#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/data/shapes.hpp"

namespace elbo::cli {

void add_generate(CLI::App& app) {
  struct Flags {
    std::string directory;
    ShapesOptions options;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("generate", "Generate a synthetic data set");
  command->require_subcommand(1);
  CLI::App* shapes = command->add_subcommand(
      "shapes", "White shapes on black with known position, scale and rotation");
  shapes->add_option("DIR", flags->directory, "new directory")->required();
  shapes->add_option("--train-count", flags->options.train_count, "number of training images")
      ->type_name("N")
      ->capture_default_str();
  shapes->add_option("--test-count", flags->options.test_count, "number of test images")
      ->type_name("N")
      ->capture_default_str();
  shapes->add_option("--size", flags->options.size, "height and width in pixels")
      ->type_name("N")
      ->capture_default_str();
  shapes->add_option("--seed", flags->options.seed, "random seed")
      ->type_name("N")
      ->capture_default_str();
  shapes->callback([flags] {
    generate_shapes(flags->directory, flags->options);
    std::printf("%s",
                Dataset::open(flags->directory, {.validation_fraction = 0.0}).describe().c_str());
  });
}

}  // namespace elbo::cli
