#include "host/train/config.hpp"

#include <stdexcept>

#include "host/train/recipe.hpp"
#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

/// Valid settings are unchanged after writing and reading.
void parse(Bytes input) {
  Config config;
  apply_toml(config, text_of(input), "settings.toml");
  config.check();
  Config again;
  apply_toml(again, to_toml(config), "written");
  if (again != config) throw std::logic_error("settings change when written and read");
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::vector<std::string> seeds() {
  std::vector<std::string> texts = {
      "epochs = 3\nbeta = 0.5\nhidden = [4, 5]\nskip-bad = true\nlikelihood = 'bernoulli'\n",
      "learning-rate-milestones = [1.5, 20]\nhidden = \"512,256\"\n",
      "seed = 0x7fff_ffff\nbeta = 1e-3 # comment \u00e4\ndataset = \"a\\u00e4\\n b\u00e4\"\n",
      // Inputs that made the parser fail, outside of strings and in multi-line strings.
      "releaarning\u024date-'milecs", "\u03aa", "a = 1y\"\u00e4\"\n",
      "dataset = \"\"\"\\\n\u00a7\"\"\"\n", "device = \"\\n'a'\"\n",
      "hidden = [" + repeated("1,", 40) + "0.1]\n", "beta = inf\n", "beta = 9007199254740993\n",
      "epochs = 1979-05-27T07:32:00Z\n", "[table]\na.b = {c = [{d = 1}]}\n",
      // The parser recurses into nested tables.
      "a" + repeated(".a", 30000) + " = 1\n", "[a" + repeated(".a", 30000) + "]\n", "[[[[a]]",
      repeated("[[a]]\n", 5000), "epochs = " + repeated("[", 30000),
      "epochs = " + repeated("{a=", 30000), repeated("x", 60000) + " = 1\n",
      "epochs = '" + repeated("y", 60000) + "'\n", "epochs = \"a\\n\\u001b[31mb\"\n",
      "recipe = \"a\\nb\"\n", "\"a\\nb\" = 1\n", "hidden = [" + repeated("1,", 30000) + "]\n"};
  for (const Recipe& recipe : recipes()) texts.push_back(to_toml(config_for_recipe(recipe.name)));
  return texts;
}

}  // namespace

const Target kConfig = {"config", 4096, 256, 1 << 18, parse, seeds};

}  // namespace elbo::fuzz
