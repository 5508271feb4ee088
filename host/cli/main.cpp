// elbo: trains and uses variational autoencoders from the command line.
//
// Exit codes: 0 done, 2 usage or configuration, 3 data or file, 4 device, 5 training diverged.
#include <cstdio>
#include <exception>
#include <new>

#include "host/cli/commands.hpp"
#include "host/cli/help.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

enum ExitCode { kDone = 0, kInternal = 1, kUsage = 2, kData = 3, kDevice = 4, kDiverged = 5 };

int fail(ExitCode code, const std::string& message) {
  std::fprintf(stderr, "elbo: %s\n", message.c_str());
  return code;
}

/// The chosen command, for `elbo COMMAND --help` and for the flags it knows.
const CLI::App& chosen(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : *commands.front();
}

std::string unknown_argument(const CLI::App& app, const std::string& argument) {
  const CLI::App& command = chosen(app);
  std::vector<std::string> known;
  if (argument.starts_with("-")) {
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  } else if (&command == &app) {
    for (const CLI::App* c : app.get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(c->get_name());
  }
  const std::string name = argument.substr(0, argument.find('='));
  std::string message = "unexpected argument '" + name + "'";
  if (!known.empty()) message += "; did you mean '" + nearest_name(name, known) + "'?";
  return message;
}

int run(int argc, char** argv) {
  CLI::App app("Trains and uses variational autoencoders, on CPUs and NVIDIA GPUs.", "elbo");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", "elbo " ELBO_VERSION, "print the version and exit");
  app.set_help_flag("-h,--help", "print this help and exit");
  app.require_subcommand(0, 1);
  app.footer(
      "`elbo COMMAND --help` explains a command. To begin with:\n"
      "  elbo generate shapes shapes\n"
      "  elbo train shapes --out run --likelihood bernoulli");
  add_train(app);
  add_resume(app);
  add_evaluate(app);
  add_sample(app);
  add_reconstruct(app);
  add_encode(app);
  add_decode(app);
  add_inspect(app);
  add_list(app);
  add_generate(app);
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) std::fputs(app.help().c_str(), stdout);
    return kDone;
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ExtrasError&) {
    for (const std::string& argument : app.remaining(true))
      return fail(kUsage, unknown_argument(app, argument));
    return fail(kUsage, "unexpected argument");
  } catch (const CLI::ParseError& error) {
    return fail(kUsage, std::string(error.what()) + " (see `elbo " + chosen(app).get_name() +
                            " --help`)");
  } catch (const ConfigError& error) {
    return fail(kUsage, error.what());
  } catch (const DataError& error) {
    return fail(kData, error.what());
  } catch (const DeviceError& error) {
    return fail(kDevice, error.what());
  } catch (const DivergenceError& error) {
    return fail(kDiverged, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kDevice, "out of memory; a smaller model, batch or data set needs less");
  } catch (const std::exception& error) {
    return fail(kInternal, std::string("internal error: ") + error.what());
  }
}

}  // namespace
}  // namespace elbo::cli

int main(int argc, char** argv) { return elbo::cli::run(argc, argv); }
