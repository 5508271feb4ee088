// Interrupted training: signals, time limits, a second process in the run directory, lost data and
// failed writes. Checks the messages and exit codes, and that resuming gives the same result as an
// uninterrupted training.
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "tests/program.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// The elbo program running in the background; killed on destruction.
class Started {
 public:
  explicit Started(const Words& arguments) {
    Words words = Words{kElboProgram} + arguments;
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    process_ = ::fork();
    if (process_ != 0) return;
    for (const auto& [stream, name] : {std::pair{STDOUT_FILENO, "out"}, {STDERR_FILENO, "err"}}) {
      const int file = ::open((streams_ / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(file, stream);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~Started() {
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;

  void send(int signal) { ::kill(process_, signal); }
  /// Waits for the end. The outcome's code is the exit status, or minus the terminating signal.
  Outcome wait() {
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = 0;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
            read_bytes(streams_ / "out"), read_bytes(streams_ / "err")};
  }

 private:
  TemporaryDirectory streams_;
  pid_t process_ = 0;
};

class CliStop : public testing::Test {
 protected:
  std::string path(std::string_view name) const { return (directory_ / name).string(); }
  /// Returns a training command, by default with more epochs than can finish.
  Words training(const std::string& run, const std::string& epochs = "1000000") const {
    return {"train",        data_,  "--out",           run, "--hidden",           "4",
            "--latent-dim", "2",    "--batch-size",    "8", "--threads",          "1",
            "--device",     "cpu",  "--picture-count", "0", "--metrics-interval", "500",
            "--epochs",     epochs, "--quiet"};
  }
  /// Waits until the run has written metrics, which means that it trains.
  static void await_steps(const std::string& run) {
    for (int i = 0; i < 6000; ++i) {
      std::error_code missing;
      if (fs::file_size(run + "/metrics.jsonl", missing) > 0 && !missing) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "no metrics in a minute";
  }
  static void expect_words(const std::string& text, const Words& words) {
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    for (const std::string& word : words)
      EXPECT_NE(text.find(word), std::string::npos) << "'" << word << "' not in: " << text;
  }
  static std::string last_of(const std::string& run) {
    return read_bytes(run + "/checkpoints/last.safetensors");
  }

  TemporaryDirectory directory_;
  const std::string data_ = make_dataset(directory_, "data");
};

TEST_F(CliStop, SignalsLeaveACheckpointToGoOnFrom) {
  // Long enough to be interrupted, short enough to run to its end.
  const std::string epochs = "20000", steps = "60000";
  const std::string whole = path("whole"), halves = path("halves");
  expect_done(training(whole, epochs));
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    SCOPED_TRACE(signal);
    fs::remove_all(halves);
    Started program(training(halves, epochs));
    await_steps(halves);
    program.send(signal);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.code, 128 + signal);
    EXPECT_EQ(outcome.out, "");
    expect_words(outcome.err, {"elbo: interrupted", "after step ", " of " + steps,
                               "last.safetensors", "`elbo resume " + halves + "`"});
    EXPECT_NE(last_of(halves), last_of(whole));
    expect_done({"resume", halves, "--quiet"});
    EXPECT_TRUE(last_of(halves) == last_of(whole)) << "other weights";
  }
}

// A first signal requests a stop after the current step; a second one must end the program at once.
// No report is due before the last epoch, so none delays a step.
TEST_F(CliStop, TheSecondSignalEndsItAtOnce) {
  const std::string run = path("run");
  Started program(training(run) + Words{"--report-epochs", "1000000"});
  await_steps(run);
  program.send(SIGSTOP);
  program.send(SIGTERM);
  program.send(SIGINT);  // both are delivered before it takes another step
  program.send(SIGCONT);
  const Outcome outcome = program.wait();
  EXPECT_TRUE(outcome.code == -SIGTERM || outcome.code == -SIGINT) << outcome.code;
}

TEST_F(CliStop, NobodyReadingIsNoReason) {
  const std::string run = path("run");
  Started program(training(run));
  await_steps(run);
  program.send(SIGPIPE);
  program.send(SIGTERM);
  EXPECT_EQ(program.wait().code, 128 + SIGTERM);
}

TEST_F(CliStop, TimeIsUp) {
  const std::string run = path("run");
  Words talking = training(run) + Words{"--max-minutes", "0.005"};
  std::erase(talking, "--quiet");
  const std::string told = expect_done(talking);
  for (const char* word : {"stopped after 0.005 minutes", "of 3000000", "`elbo resume "})
    EXPECT_NE(told.find(word), std::string::npos) << word << " not in " << told;
  EXPECT_TRUE(fs::is_regular_file(run + "/checkpoints/last.safetensors"));
  EXPECT_FALSE(fs::exists(run + "/summary.json"));
  // The resumed run has the same time limit.
  const std::string before = last_of(run);
  expect_done({"resume", run, "--quiet"});
  EXPECT_NE(last_of(run), before);
}

TEST_F(CliStop, OneTrainingAtATime) {
  const std::string run = path("run");
  Started program(training(run));
  await_steps(run);
  expect_complaint({"resume", run}, 3,
                   {run + "/lock", "another process is training here", "(process "});
  expect_complaint(training(run), 2, {"exists already"});
  program.send(SIGKILL);
  EXPECT_EQ(program.wait().code, -SIGKILL);
  expect_done(
      {"resume", run, "--max-minutes", "0.002", "--quiet"});  // the lock ends with its process
}

TEST_F(CliStop, ARunWithoutACheckpointBegins) {
  const std::string whole = path("whole"), run = path("run");
  expect_done(training(whole, "3"));
  expect_done(training(run, "3"));
  for (const char* part : {"checkpoints", "samples"}) fs::remove_all(run + "/" + part);
  expect_done({"resume", run, "--quiet"});
  EXPECT_TRUE(last_of(run) == last_of(whole));
}

TEST_F(CliStop, ADamagedCheckpointIsNamedAndPassedOver) {
  const std::string whole = path("whole"), run = path("run");
  expect_done(training(whole, "3"));
  expect_done(training(run, "3"));
  const std::string last = run + "/checkpoints/last.safetensors";
  std::string bytes = read_bytes(last);
  bytes.back() ^= 1;
  std::ofstream(last, std::ios::binary) << bytes;
  const Outcome outcome = run_elbo({"resume", run, "--quiet"});
  EXPECT_EQ(outcome.code, 0);
  expect_words(outcome.err, {"elbo: warning: " + last, "damaged", "of step 6"});
  EXPECT_TRUE(last_of(run) == last_of(whole));
  // If all checkpoints are damaged, training cannot resume.
  for (const auto& file : fs::directory_iterator(run + "/checkpoints"))
    std::ofstream(file.path(), std::ios::binary) << bytes;
  expect_complaint({"resume", run}, 3, {last, "damaged"});
}

// Settings given to `resume` are stored for the next one.
TEST_F(CliStop, SettingsOfAResumptionAreKept) {
  const std::string run = path("run");
  expect_done(training(run, "2"));
  expect_done({"resume", run, "--epochs", "4", "--keep", "1", "--quiet"});
  const std::string settings = read_bytes(run + "/config.toml");
  EXPECT_NE(settings.find("\nepochs = 4\n"), std::string::npos);
  EXPECT_NE(settings.find("\nkeep-checkpoints = 1\n"), std::string::npos);
}

TEST_F(CliStop, ADataSetCutShort) {
  const std::string run = path("run");
  // More than a page, so that truncation unmaps a whole page.
  std::vector<float> rows(6 * 4000, 0.5f);
  write_npy(directory_ / "data/train.npy", {4000, 2, 3}, rows);
  fs::remove(directory_ / "data/train_labels.npy");
  fs::remove(directory_ / "data/test_labels.npy");
  Started program(training(run));
  await_steps(run);
  fs::resize_file(directory_ / "data/train.npy", 200);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 3);
  expect_words(outcome.err, {"elbo: " + fs::canonical(data_).string() + "/train.npy", "truncated",
                             "`elbo resume " + run + "`"});
}

TEST_F(CliStop, ADataSetRemoved) {
  const std::string run = path("run");
  expect_done(training(run, "2"));
  const std::string data = fs::canonical(data_).string();
  fs::remove_all(data_);
  expect_complaint({"resume", run, "--epochs", "3"}, 3, {data});
}

// The order of rows depends on their number, so resuming with more rows would be another training.
TEST_F(CliStop, ADataSetThatHasGrown) {
  const std::string run = path("run");
  expect_done(training(run, "2"));
  const std::string before = last_of(run);
  write_npy(directory_ / "data/train.npy", {4000, 2, 3}, std::vector<float>(6 * 4000, 0.5f));
  fs::remove(directory_ / "data/train_labels.npy");
  fs::remove(directory_ / "data/test_labels.npy");
  expect_complaint(
      {"resume", run, "--epochs", "3"}, 3,
      {run + "/checkpoints/last.safetensors", "rows to train on, the data set has 3600"});
  EXPECT_TRUE(last_of(run) == before);
}

// Lines that the program did not write are dropped, as are incomplete lines.
TEST_F(CliStop, MetricsThatAreNotItsOwn) {
  const std::string run = path("run");
  expect_done(training(run, "2"));
  const std::string lines = read_bytes(run + "/metrics.jsonl");
  std::ofstream(run + "/metrics.jsonl", std::ios::app) << R"({"step":"x"}
{"split":"train","step":-1}
[1]
{"step":1e400}
{"split":"tr)";
  expect_done({"resume", run, "--quiet"});
  EXPECT_EQ(read_bytes(run + "/metrics.jsonl"), lines);
  // An invalid split is ignored.
  std::ofstream(run + "/metrics.jsonl", std::ios::app) << R"({"split":3,"step":1})" << '\n';
  expect_done({"resume", run, "--quiet"});
}

TEST_F(CliStop, ADiskThatIsFull) {
  const std::string run = path("run");
  expect_done(training(run, "2"));
  const std::string before = last_of(run);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small = {1000, limit.rlim_max};  // bytes: less than a checkpoint needs
  ::setrlimit(RLIMIT_FSIZE, &small);
  Started program({"resume", run, "--epochs", "40", "--threads", "1", "--quiet"});
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 3);
  expect_words(outcome.err, {"elbo: " + run, "cannot write"});
  EXPECT_TRUE(last_of(run) == before);
  for (const auto& entry : fs::recursive_directory_iterator(run))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".elbo-")) << entry.path();
}

TEST_F(CliStop, DivergenceEndsWithFive) {
  const std::string run = path("run");
  const Outcome outcome =
      run_elbo(training(run, "3") + Words{"--optimizer", "sgd", "--learning-rate", "1e6",
                                          "--likelihood", "mse", "--activation", "identity"});
  EXPECT_EQ(outcome.code, 5);
  expect_words(outcome.err, {"elbo: training diverged at step ", run + "/divergence-",
                             "--on-divergence rollback"});
  EXPECT_FALSE(fs::exists(run + "/checkpoints/last.safetensors"));
  const Outcome again = run_elbo({"resume", run, "--on-divergence", "rollback", "--quiet"});
  EXPECT_NE(again.err.find("elbo: warning: training diverged"), std::string::npos) << again.err;
  EXPECT_NE(again.err.find("resuming from step 0 with 0.5 of the learning rate"), std::string::npos)
      << again.err;
}

}  // namespace
}  // namespace elbo
