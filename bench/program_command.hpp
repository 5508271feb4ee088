// `elbo_bench program`: a training step as it is recorded, for comparing two builds.
#pragma once

#include <string>

namespace elbo::bench {

struct ProgramCommand {
  std::string config;
  std::string device = "cpu";
};

/// Records a training step of the settings in the file `config`, whose data set is opened, as for
/// the CPU or a GPU, and prints a line for each op: its name and sizes, the memory it touches and
/// the ops it waits for. Addresses are numbered in the order of their first use, so that two runs
/// print the same. Needs no GPU. Throws what the engine throws.
void run_program_command(const ProgramCommand& command);

}  // namespace elbo::bench
