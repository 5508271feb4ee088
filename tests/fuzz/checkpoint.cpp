#include "host/train/checkpoint.hpp"

#include "host/io/safetensors.hpp"
#include "host/train/recipe.hpp"
#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

void parse(Bytes input) {
  const MemoryFile file(input);
  const CheckpointHeader header = read_checkpoint_header(file.path());
  Architecture(header.config, header.data).layout().parameter_count();
  load_model(file.path(), make_cpu_device(1));
}

Config small(std::string_view recipe) {
  Config config = config_for_recipe(recipe);
  config.hidden = {3};
  config.latent_dim = 2;
  return config;
}

std::string saved(const Config& config, const DataSignature& data, Model::Purpose purpose) {
  const Model model(config, data, make_cpu_device(1), purpose);
  return unchecked(file_of(
      [&](const auto& path) { save_checkpoint(path, config, model, {.step = 7, .epoch = 1}); }));
}

/// Only settings: a model of terabytes in a file of kilobytes.
std::string without_weights(Config config, const std::string& shape) {
  config.dataset = "elsewhere";
  return unchecked(file_of([&](const auto& path) {
    write_safetensors(path, {},
                      {{"format", "elbo-checkpoint"},
                       {"version", "2"},
                       {"config", to_toml(config)},
                       {"data_shape", shape},
                       {"data_dtype", "u8"},
                       {"classes", "0"},
                       {"step", "0"},
                       {"epoch", "0"},
                       {"best_score", "-inf"},
                       {"best_epoch", "0"}});
  }));
}

std::vector<std::string> seeds() {
  const DataSignature floats{{2, 3}, DType::f32, 0};
  Config wide = small("vae"), deep = small("vae"), many = small("conv-vae");
  wide.hidden = {20000, 20000};
  deep.hidden.assign(20000, 1);
  many.channels.assign(20000, 1);
  return {saved(small("vae"), floats, Model::Purpose::inference),
          saved(small("ppca"), floats, Model::Purpose::training),
          saved(small("mlp-classifier"), {{6}, DType::u8, 3}, Model::Purpose::inference),
          without_weights(wide, "2,3"),
          without_weights(deep, "2,3"),
          without_weights(small("vae"), "2147483648"),
          without_weights(small("vae"), "65536,65536"),
          without_weights(many, "28,28"),
          without_weights(small("conv-vae"), "16384,16384")};
}

}  // namespace

const Target kCheckpoint = {"checkpoint", 1 << 14, 256, 1 << 20, parse, seeds};

}  // namespace elbo::fuzz
