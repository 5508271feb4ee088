// elbo: trains and uses variational autoencoders from the command line.
//
// Exit codes: 0 done, 1 internal error, 2 usage or configuration, 3 data or file, 4 device, 5
// training diverged, 128 + N: a training stopped by signal N, with a checkpoint.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>

#include "host/cli/arguments.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/faults.hpp"
#include "host/cli/help.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

enum ExitCode { kDone = 0, kInternal = 1, kUsage = 2, kData = 3, kDevice = 4, kDiverged = 5 };

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "elbo: %s\n", message.c_str());
  return code;
}

/// Returns the innermost command that was selected, or the program itself if there is none.
const CLI::App& chosen(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : chosen(*commands.front());
}

int run(int argc, char** argv) {
  CLI::App app("Train and use variational autoencoders on CPUs and NVIDIA GPUs.", "elbo");
  const auto help = std::make_shared<HelpFormatter>();
  app.formatter(help);
  app.set_version_flag("--version", "elbo " ELBO_VERSION, "print the version and exit");
  app.set_help_flag("-h,--help", "print this help and exit");
  app.require_subcommand(0, 1);
  add_train(app);
  add_resume(app);
  add_evaluate(app);
  add_analyze(app);
  add_sample(app);
  add_reconstruct(app);
  add_encode(app);
  add_classify(app);
  add_decode(app);
  add_inspect(app);
  add_list(app);
  add_generate(app);
  add_bench(app);
  app.footer(  // after the commands, which would otherwise inherit it
      "`elbo COMMAND --help` describes a command. To start:\n"
      "  elbo generate shapes shapes\n"
      "  elbo train shapes --out run --likelihood bernoulli");
  try {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    help->take_topic(app, arguments);
    arguments = checked_arguments(app, arguments);
    std::ranges::reverse(arguments);  // the parser expects them in reverse order
    app.parse(std::move(arguments));
    if (app.get_subcommands().empty()) std::fputs(app.help().c_str(), stdout);
    return kDone;
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return fail(kUsage,
                std::string(error.what()) + " (see `" + full_name(chosen(app)) + " --help`)");
  } catch (const ConfigError& error) {
    return fail(kUsage, error.what());
  } catch (const DataError& error) {
    return fail(kData, error.what());
  } catch (const DeviceError& error) {
    return fail(kDevice, error.what());
  } catch (const DivergenceError& error) {
    return fail(kDiverged, error.what());
  } catch (const Interrupted& stop) {
    return fail(stop.exit_code(), stop.what());
  } catch (const std::bad_alloc&) {
    return fail(kDevice, "out of memory; a smaller model, batch or data set needs less");
  } catch (const std::exception& error) {
    return fail(kInternal, std::string("internal error: ") + error.what());
  }
}

}  // namespace
}  // namespace elbo::cli

int main(int argc, char** argv) {
  elbo::cli::handle_faults();
  return elbo::cli::run(argc, argv);
}
