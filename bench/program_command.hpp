// `elbo_bench program`: prints the recorded program of a training step, to compare two builds.
#pragma once

#include <string>

namespace elbo::bench {

struct ProgramCommand {
  std::string config;
  std::string device = "cpu";
};

/// Records a training step with the settings in the file `config`, for the CPU or for a GPU, and
/// opens the data set that the file names. Prints one line per op: its name and sizes, the memory
/// that it accesses, and the ops that it waits for. Addresses are numbered in the order of their
/// first use, so that two runs print the same text. Needs no GPU. Throws what the engine throws.
void run_program_command(const ProgramCommand& command);

}  // namespace elbo::bench
