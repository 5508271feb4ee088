// Image folders on the command line: every command that opens a data set, and its messages.
#include <gtest/gtest.h>

#include <thread>

#include "host/train/config.hpp"
#include "tests/pictures.hpp"
#include "tests/program.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr int kUsage = 2;
constexpr int kData = 3;

class CliImages : public testing::Test {
 protected:
  CliImages() {
    // Commands without a run directory keep their image cache here.
    ::setenv("XDG_CACHE_HOME", path("user").c_str(), 1);
  }

  std::string path(std::string_view name) const { return (directory_ / name).string(); }

  /// Writes 24 training and 6 test images of three classes and several sizes; returns the folder.
  std::string make_folder() const {
    for (int i = 0; i < 30; ++i) {
      const std::string split = i < 24 ? "train" : "test";
      const Image image = scattered_image(6 + i % 3, 6 + i % 2, 3, i);
      const std::string name =
          "photos/" + split + "/class" + std::to_string(i % 3) + "/" + std::to_string(100 + i);
      if (i % 5 == 0)
        directory_.write(name + ".jpg", jpeg_bytes(image));
      else
        directory_.write(name + ".png", png_bytes(image));
    }
    return path("photos");
  }

  /// Expects success and returns the standard error output.
  static std::string talk_of(const Words& arguments) {
    const Outcome outcome = run_elbo(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.err;
  }
  static void expect_decoded(const Words& arguments, int count) {
    const std::string said = talk_of(arguments);
    EXPECT_TRUE(said.starts_with("decoded " + std::to_string(count) + " images, ")) << said;
    EXPECT_NE(said.find(" images/s, to "), std::string::npos) << said;
  }
  static int64_t entries_in(const fs::path& cache) {
    return fs::exists(cache) ? std::distance(fs::directory_iterator(cache), {}) : -1;
  }

  TemporaryDirectory directory_;
};

TEST_F(CliImages, EveryCommandOpensThemAsTheTrainingDid) {
  const std::string photos = make_folder(), run = path("run");
  expect_decoded(tiny_training(photos, run) + Words{"--image-size", "5"}, 30);
  EXPECT_EQ(entries_in(directory_ / "elbo-cache"), 1) << "beside the run";
  // None of these commands decodes images again, so they print nothing to standard error.
  expect_done({"evaluate", run, photos});
  expect_done({"evaluate", run + "/checkpoints/last.safetensors", photos, "--json"});
  expect_done({"analyze", run, photos, "--draws", "8"});
  expect_done({"reconstruct", run + "/", photos, "--out", path("pairs.png")});
  expect_done({"encode", run, photos, "--out", path("codes.npy")});
  expect_done({"resume", run, "--epochs", "3", "--quiet"});
  expect_done({"resume", run, "--epochs", "4"});
  EXPECT_EQ(entries_in(directory_ / "elbo-cache"), 1);
  EXPECT_EQ(entries_in(directory_ / "user/elbo"), -1);

  Config config;
  apply_toml_file(config, run + "/config.toml");
  EXPECT_EQ(config.image_size, 5);
  EXPECT_EQ(config.image_cache, "");
  const std::string help = expect_done({"inspect", run});
  EXPECT_NE(help.find("samples of shape 5x5x3"), std::string::npos) << help;
  EXPECT_NE(help.find("skip-bad = false\n"), std::string::npos) << help;

  // A checkpoint outside its run directory uses the user's cache.
  fs::copy_file(run + "/checkpoints/last.safetensors", path("last.safetensors"));
  expect_decoded({"evaluate", path("last.safetensors"), photos}, 30);
  EXPECT_EQ(entries_in(directory_ / "user/elbo"), 1);
  // --cache selects another cache.
  expect_done({"encode", run, photos, "--out", path("z.npy")});
  expect_decoded({"encode", run, photos, "--out", path("z2.npy"), "--cache", path("told")}, 30);
  EXPECT_EQ(read_bytes(path("z2.npy")), read_bytes(path("z.npy")));
}

TEST_F(CliImages, TheRunKeepsItsCache) {
  const std::string photos = make_folder(), run = path("deep/er/run");
  expect_decoded(tiny_training(photos, run) + Words{"--image-size", "5", "--cache", path("mine")},
                 30);
  Config config;
  apply_toml_file(config, run + "/config.toml");
  EXPECT_EQ(config.image_cache, path("mine"));
  expect_done({"evaluate", run, photos});
  EXPECT_EQ(entries_in(directory_ / "mine"), 1);
  EXPECT_FALSE(fs::exists(path("deep/er/elbo-cache")));
  // Checkpoints do not store the run's path or cache, so a run elsewhere writes the same bytes.
  expect_decoded(tiny_training(photos, path("other")) + Words{"--image-size", "5"}, 30);
  EXPECT_EQ(read_bytes(run + "/checkpoints/last.safetensors"),
            read_bytes(path("other/checkpoints/last.safetensors")));
}

TEST_F(CliImages, LabelsAreTheDirectories) {
  const std::string photos = make_folder(), run = path("run");
  talk_of(tiny_training(photos, run) + Words{"--recipe", "mlp-classifier", "--image-size", "4"});
  const std::string said = expect_done({"evaluate", run, photos});
  EXPECT_NE(said.find("accuracy"), std::string::npos) << said;
  EXPECT_NE(
      expect_done(
          {"inspect", path("elbo-cache") + "/" +
                          fs::directory_iterator(path("elbo-cache"))->path().filename().string()})
          .find("labels 0 to 2"),
      std::string::npos)
      << "an entry is a data set of arrays";
}

TEST_F(CliImages, InspectTakesTheFlagsOfPictures) {
  const std::string photos = make_folder();
  expect_complaint({"inspect", photos}, kData, {photos, "different sizes", "--image-size N"});
  expect_decoded({"inspect", photos, "--image-size", "5", "--image-channels", "grey"}, 30);
  const std::string said =
      expect_done({"inspect", photos, "--image-size", "5", "--image-channels", "grey"});
  EXPECT_NE(said.find("samples     5x5 u8"), std::string::npos) << said;
  EXPECT_NE(said.find("24 rows, labels 0 to 2"), std::string::npos) << said;
  EXPECT_EQ(entries_in(directory_ / "user/elbo"), 1);
  expect_complaint({"inspect", photos, "--image-size", "-1"}, kUsage, {"image-size: got '-1'"});
  expect_complaint({"inspect", photos, "--image-channels", "blue"}, kUsage,
                   {"image-channels: got 'blue'", "auto, grey, rgb"});
}

TEST_F(CliImages, EveryBadPictureInOneLine) {
  const std::string photos = make_folder();
  const std::string whole = png_bytes(scattered_image(6, 6, 3));
  const auto bad = [&](const std::string& name, const std::string& bytes) {
    directory_.write("photos/train/class1/" + name, bytes);
  };
  bad("cut.png", whole.substr(0, whole.size() - 30));
  bad("cut.jpg", jpeg_bytes(scattered_image(40, 40, 3)).substr(0, 900));
  bad("text.png", "not a picture");
  bad("empty.jpeg", "");
  std::string bomb = whole;
  bomb.replace(16, 8, std::string("\0\1\0\0\0\1\0\0", 8));
  bad("bomb.png", bomb);
  const fs::path folder = fs::path(photos) / "train/class1";
  fs::create_symlink("nothing", folder / "dangling.png");
  fs::create_symlink("loop.png", folder / "loop.png");
  fs::create_symlink("..", folder / "up");
  const Words training = tiny_training(photos, path("run")) + Words{"--image-size", "5"};
  expect_complaint(training, kData,
                   {photos, "8 of 38 pictures cannot be used", "cut.png (damaged PNG",
                    "cut.jpg (damaged or truncated", "text.png (neither PNG nor JPEG",
                    "empty.jpeg (empty)", "bomb.png (claims to be 65536x65536",
                    "dangling.png (broken symbolic link)", "loop.png (link in a loop of links)",
                    "up (link to a directory that it lies in)", "--skip-bad leaves them out"});
  EXPECT_FALSE(fs::exists(path("run")));
  EXPECT_FALSE(fs::exists(path("elbo-cache")));

  const std::string said = talk_of(training + Words{"--skip-bad"});
  const std::string warning = "elbo: warning: 8 of 38 pictures left out: train/class1/bomb.png (";
  EXPECT_NE(said.find(warning), std::string::npos) << said;
  EXPECT_NE(said.find(", and 3 more\n"), std::string::npos) << said;
  EXPECT_TRUE(talk_of({"evaluate", path("run"), photos}).starts_with(warning)) << "the run knows";
  expect_done(tiny_training(photos, path("quiet")) +
              Words{"--image-size", "5", "--skip-bad", "--quiet"});

  // A run without skip-bad: evaluation needs the flag.
  fs::remove_all(path("run"));
  const std::string clean = path("clean");
  fs::create_directory(clean);
  fs::copy(fs::path(photos) / "test", fs::path(clean) / "train", fs::copy_options::recursive);
  talk_of(tiny_training(clean, path("run")) + Words{"--image-size", "5"});
  expect_complaint({"evaluate", path("run"), photos}, kData, {"8 of 38", "--skip-bad"});
  EXPECT_NE(talk_of({"evaluate", path("run"), photos, "--skip-bad"}).find("warning: 8 of 38"),
            std::string::npos);
}

TEST_F(CliImages, AFlagThatIsTrueOrFalse) {
  const std::string data = make_dataset(directory_, "arrays");
  const auto skip_bad_of = [&](const char* run, const Words& more) {
    const Outcome outcome = run_elbo(tiny_training(data, path(run), "1") + Words{"--quiet"} + more);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    Config config;
    apply_toml_file(config, path(run) + "/config.toml");
    EXPECT_EQ(outcome.err.find("note: skip-bad true has no effect") != std::string::npos,
              config.skip_bad)
        << outcome.err;
    return config.skip_bad;
  };
  const std::string file = directory_.write("on.toml", "skip-bad = true\n").string();
  EXPECT_FALSE(skip_bad_of("1", {}));
  EXPECT_TRUE(skip_bad_of("2", {"--skip-bad"}));
  EXPECT_TRUE(skip_bad_of("3", {"--skip-bad=true"}));
  EXPECT_FALSE(skip_bad_of("4", {"--skip-bad=false"}));
  EXPECT_TRUE(skip_bad_of("5", {"--config", file}));
  EXPECT_FALSE(skip_bad_of("6", {"--config", file, "--skip-bad=false"}));
  expect_complaint(tiny_training(data, path("7")) + Words{"--skip-bad=maybe"}, kUsage,
                   {"skip-bad: got 'maybe'", "true or false"});
}

TEST_F(CliImages, ProcessesThatPackAtOnce) {
  for (int i = 0; i < 400; ++i)
    directory_.write("many/" + std::to_string(1000 + i) + ".png",
                     png_bytes(scattered_image(24, 24, 3, i)));
  std::vector<std::thread> threads;
  std::vector<std::string> said(4);
  for (std::string& each : said)
    threads.emplace_back([&] {
      each = run_elbo({"inspect", path("many"), "--image-size", "16"}).out;
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& each : said) {
    EXPECT_EQ(each, said.front());
    EXPECT_NE(each.find("400 rows"), std::string::npos) << each;
  }
  EXPECT_EQ(entries_in(directory_ / "user/elbo"), 1);
  expect_done({"inspect", path("many"), "--image-size", "16"});
}

TEST_F(CliImages, NoPlaceForACache) {
  const std::string photos = make_folder();
  directory_.write("file", "");
  expect_complaint(tiny_training(photos, path("run")) +
                       Words{"--image-size", "5", "--cache", path("file/cache")},
                   kData, {path("file/cache"), "Not a directory", "--image-cache DIR"});
  EXPECT_FALSE(fs::exists(path("run")));
  ::unsetenv("XDG_CACHE_HOME");
  const std::string home = ::getenv("HOME") == nullptr ? "" : ::getenv("HOME");
  ::unsetenv("HOME");
  expect_complaint({"inspect", photos, "--image-size", "5"}, kUsage,
                   {"cache: ", "--image-cache DIR"});
  ::setenv("HOME", path("home").c_str(), 1);
  expect_decoded({"inspect", photos, "--image-size", "5"}, 30);
  EXPECT_EQ(entries_in(directory_ / "home/.cache/elbo"), 1);
  ::setenv("HOME", home.c_str(), 1);
}

TEST_F(CliImages, TheListOfDataSets) {
  const std::string said = expect_done({"list", "datasets"});
  for (const char* name : {"idx", "npy", "cifar-10", "images"})
    EXPECT_NE(said.find(std::string("  ") + name + " "), std::string::npos) << said;
}

}  // namespace
}  // namespace elbo
