#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/npy.hpp"
#include "host/train/generation.hpp"

namespace elbo::cli {

void add_decode(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    std::string codes, out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("decode", "Decode codes from a .npy file: E[x|z]");
  flags->model.add(*command);
  add_value(*command, "Z", "", flags->codes, NotEmpty{}, ".npy file of codes [rows, latent]")
      ->required();
  add_value(*command, "--out", "FILE", flags->out, NotEmpty{}, "file to write, .npy or .png")
      ->required();
  command->callback([flags] {
    require_extension(flags->out, {".npy", ".png"});
    const Model model = flags->model.load();
    const NpyArray codes = open_npy(flags->codes);
    if (codes.shape.size() != 2 || codes.shape[1] != model.architecture.latent() ||
        codes.shape[0] < 1)
      fail_file(flags->codes, formatted("codes have shape {}, expected rows x {}",
                                        to_string(codes.shape), model.architecture.latent()));
    const std::vector<float> means = decode(model, to_floats(codes, flags->codes));
    write_samples(flags->out, means, model.data.sample_shape);
  });
}

}  // namespace elbo::cli
