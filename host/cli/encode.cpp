#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/io/npy.hpp"

namespace elbo::cli {

void add_encode(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    bool with_logvar = false;
    std::string out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "encode", "Write the codes of a data set as .npy: posterior means, or deterministic codes");
  flags->model.add(*command);
  flags->data.add(*command);
  command->add_flag("--with-logvar", flags->with_logvar,
                    "write means and log-variances, [rows, 2 * latent]");
  add_value(*command, "--out", "FILE", flags->out, NotEmpty{}, "file to write, .npy")->required();
  command->callback([flags] {
    require_extension(flags->out, {".npy"});
    const Model model = flags->model.load();
    const Dataset data = flags->data.open(flags->model, model);
    const Split& split = data.split(flags->data.split);
    const int64_t width = model.architecture.latent() * (flags->with_logvar ? 2 : 1);
    write_npy(flags->out, {split.size(), width},
              Evaluator(model, split).encode(flags->with_logvar));
  });
}

}  // namespace elbo::cli
