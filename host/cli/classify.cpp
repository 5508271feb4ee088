#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/io/npy.hpp"

namespace elbo::cli {

void add_classify(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("classify", "Write class probabilities for a data set as .npy");
  flags->model.add(*command);
  flags->data.add(*command);
  add_value(*command, "--out", "FILE", flags->out, NotEmpty{},
            "file to write, .npy [rows, classes]")
      ->required();
  command->callback([flags] {
    require_extension(flags->out, {".npy"});
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(flags->model, model);
    const Split& split = data.split(flags->data.split);
    write_npy(flags->out, {split.size(), model.data.classes}, Evaluator(model, split).classify());
  });
}

}  // namespace elbo::cli
