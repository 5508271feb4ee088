// elbo_calibrate: measures the properties of the first GPU that the design of the CUDA side depends
// on.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <optional>

#include "bench/calibrate/gpu.cuh"
#include "bench/calibrate/parts.hpp"

namespace elbo::calibrate {
namespace {

// The same values as the exit codes of the elbo command
enum ExitCode { kDone = 0, kWrong = 1, kUsage = 2, kDevice = 4 };

int fail(ExitCode code, const std::string& message) {
  std::cerr << "elbo_calibrate: " << message << '\n';
  return code;
}

struct Options {
  std::vector<std::string> parts;  // empty: all
  std::optional<double> seconds;   // none: the default of each part
  std::string commit;
};

bool is_wanted(const Part& part, const Options& options) {
  return options.parts.empty() ||
         std::find(options.parts.begin(), options.parts.end(), part.name) != options.parts.end();
}

void check_options(const Options& options) {
  if (options.seconds && !(*options.seconds > 0.0))
    throw ConfigError("--seconds: got " + Json(*options.seconds).dump() + ", expected more than 0");
  std::string known;
  for (const Part& part : kParts) known += (known.empty() ? "" : ", ") + std::string(part.name);
  for (const std::string& name : options.parts)
    if (std::none_of(std::begin(kParts), std::end(kParts),
                     [&](const Part& part) { return part.name == name; }))
      throw ConfigError("--parts: got '" + name + "', expected some of " + known);
}

void list_parts() {
  for (const Part& part : kParts)
    std::printf("%-8s %s (%g s)\n", std::string(part.name).c_str(),
                std::string(part.summary).c_str(), part.seconds);
}

/// Runs the parts and prints the JSON object, even if a part failed.
int run_parts(const Options& options) {
  const Gpu gpu;
  Json result = {{"program", "elbo_calibrate"},
                 {"commit", options.commit.empty() ? Json(nullptr) : Json(options.commit)},
                 {"device", gpu.describe()}};
  std::cerr << result.at("device").at("name").get<std::string>() << '\n';
  Json& parts = result["parts"] = Json::object();
  bool failed = false, lost = false;
  for (const Part& part : kParts) {
    if (lost || !is_wanted(part, options)) continue;
    Report report(part.name, options.seconds.value_or(part.seconds));
    try {
      part.run(gpu, report);
    } catch (const DeviceError& error) {
      report.set_error(error.what());
      lost = !gpu.usable();
    }
    failed |= report.failed();
    parts[std::string(part.name)] = report.finish();
  }
  std::cout << result.dump(1) << std::endl;
  if (lost) return fail(kDevice, "the GPU was lost; parts after that are missing");
  return failed ? kWrong : kDone;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Measures on the first GPU what the design of elbo's CUDA side depends on. Prints one JSON "
      "object, and its rows as they come on the standard error.",
      "elbo_calibrate");
  Options options;
  bool list = false;
  app.add_flag("--list", list, "print the parts and exit");
  app.add_option("--parts", options.parts, "only these parts, separated by commas")->delimiter(',');
  app.add_option("--seconds", options.seconds,
                 "budget of each part; a row begun is finished [each part's own, see --list]");
  app.add_option("--commit", options.commit, "noted in the JSON object");
  try {
    app.parse(argc, argv);
    check_options(options);
    if (list) {
      list_parts();
      return kDone;
    }
    return run_parts(options);
  } catch (const CLI::Success& success) {  // --help
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return fail(kUsage, error.what());
  } catch (const ConfigError& error) {
    return fail(kUsage, error.what());
  } catch (const DeviceError& error) {
    return fail(kDevice, error.what());
  } catch (const std::exception& error) {
    return fail(kWrong, std::string("internal error: ") + error.what());
  }
}

}  // namespace
}  // namespace elbo::calibrate

int main(int argc, char** argv) { return elbo::calibrate::run(argc, argv); }
