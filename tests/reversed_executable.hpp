// A program run by one instruction set's build, a stage's tasks last to first: their order must not
// matter.
#pragma once

#include <vector>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/fusion.hpp"
#include "kernels/device.hpp"

namespace elbo {

class ReversedExecutable : public Executable {
 public:
  ReversedExecutable(const cpu::Execution& execution, const cpu::Bfloat16Kernels& bfloat16,
                     const Program& program) {
    constexpr int kThreads = 3;  // which cuts tasks other than the CPU device's one thread
    for (std::vector<cpu::Stage>& of_op :
         execution.stages(program, cpu::updates_with_gradients(program), {kThreads, bfloat16}))
      for (cpu::Stage& stage : of_op) stages_.push_back(std::move(stage));
  }
  void run(uint64_t repeats = 1) override {
    for (uint64_t i = 0; i < repeats; ++i)
      for (const cpu::Stage& stage : stages_)
        for (int task = stage.tasks; task-- > 0;) stage.run(task);
  }

 private:
  std::vector<cpu::Stage> stages_;
};

}  // namespace elbo
