#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/train/run_directory.hpp"

namespace elbo::cli {

void add_reconstruct(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    int64_t count = 64;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("reconstruct", "Draw inputs and their reconstructions as a picture");
  flags->model.add(*command);
  flags->data.add(*command);
  add_value(*command, "--count", "N", flags->count, AtLeast{1}, "number of rows, from the first");
  add_value(*command, "--out", "FILE", flags->out, NotEmpty{}, "file to write, .png")->required();
  command->callback([flags] {
    require_extension(flags->out, {".png"});
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(flags->model, model);
    Evaluator evaluator(model, data.split(flags->data.split));
    write_reconstructions(flags->out, evaluator.reconstruct(flags->count), model.data.sample_shape);
  });
}

}  // namespace elbo::cli
