// The linear VAE with its recipe's default settings on real data against the closed form, computed
// once in double precision from the eigenvalues of x = v/255, every training row used.
#include <cstdlib>

#include "tests/ppca_problem.hpp"

namespace elbo {
namespace {

void expect_recipe_reaches(const PpcaOptimum& optimum, const char* dataset, int64_t latents) {
  const char* folder = std::getenv("ELBO_DATA");
  if (folder == nullptr || *folder == '\0')
    GTEST_SKIP() << "ELBO_DATA does not name a folder with the real data sets";
  Config config = config_for_recipe("ppca");
  config.latent_dim = latents;
  Dataset data = Dataset::open(std::filesystem::path(folder) / dataset,
                               {.validation_fraction = config.validation_fraction});
  expect_reaches(optimum, config, std::move(data), make_cpu_device(), 100, 0.1);
}

TEST(PpcaOnRealData, FreyFacesFiveLatents) {
  expect_recipe_reaches({667.686605, 12.100428}, "frey", 5);
}

TEST(PpcaOnRealData, MnistTenLatents) {
  expect_recipe_reaches({182.154681, 21.029773}, "mnist", 10);
}

}  // namespace
}  // namespace elbo
