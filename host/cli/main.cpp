// elbo: trains and uses variational autoencoders from the command line.
//
// Exit codes: 0 done, 2 usage or configuration, 3 data or file, 4 device, 5 training diverged,
// 128 + N: a training stopped by signal N, with a checkpoint.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>

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

/// The command that was chosen, the innermost one; the program itself where there is none.
const CLI::App& chosen(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : chosen(*commands.front());
}

/// "elbo generate shapes"
std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : full_name(*parent) + " ") + command.get_name();
}

std::string unexpected_argument(const CLI::App& command, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  const std::string unexpected = "unexpected argument '" + name + "'; ";
  const std::string help = "`" + full_name(command) + " --help`";
  std::vector<std::string> known;
  if (name.starts_with("--")) {
    for (const CLI::Option* option : command.get_options())
      for (const std::string& each : option->get_lnames()) known.push_back(each);
    const std::string nearest = nearest_name(name.substr(2), known);
    return unexpected +
           (nearest.empty() ? help + " lists all" : "did you mean '--" + nearest + "'?");
  }
  for (const CLI::App* each : command.get_subcommands([](const CLI::App*) { return true; }))
    known.push_back(each->get_name());
  return unexpected + (known.empty() ? "see " + help : suggestion(name, known));
}

/// A misspelt flag comes before the complaint that the right one is missing.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = chosen(app);
  if (const auto unexpected = app.remaining(true); !unexpected.empty())
    return unexpected_argument(command, unexpected.front());
  return std::string(error.what()) + " (see `" + full_name(command) + " --help`)";
}

/// An unset variable of a script is an empty argument; of all options, only settings may be empty.
void refuse_empty_values(CLI::App& app) {
  const std::vector<std::string> settings = setting_groups();
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    refuse_empty_values(*command);
    for (CLI::Option* option : command->get_options())
      if (option->get_items_expected_max() > 0 &&
          std::ranges::find(settings, option->get_group()) == settings.end())
        option->check([](const std::string& value) {
          return value.empty() ? "got '', expected a name or a path" : "";
        });
  }
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
  refuse_empty_values(app);
  app.footer(  // after the commands, which would inherit it
      "`elbo COMMAND --help` describes a command. To start:\n"
      "  elbo generate shapes shapes\n"
      "  elbo train shapes --out run --likelihood bernoulli");
  try {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    help->take_topic(arguments);
    std::ranges::reverse(arguments);  // as the parser expects them
    app.parse(std::move(arguments));
    if (app.get_subcommands().empty()) std::fputs(app.help().c_str(), stdout);
    return kDone;
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return fail(kUsage, usage_error(app, error));
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
