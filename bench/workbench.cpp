#include "bench/workbench.hpp"

#include "bench/check.hpp"
#include "bench/planning_device.hpp"

namespace elbo::bench {

void Workbench::prepare(const Row& row) {
  if (row_ == row.name) return;
  executable_.reset();
  work_ = {};
  device_ = machine_.device(row.threads);
  work_ = row.make(device_);
  work_.begin();
  {
    const Work image = row.make(make_planning_device(device_->kind()));
    difference_ = bench::difference(*device_, work_.program, image.program);
  }
  failed_ |= difference_.has_value();
  row_ = row.name;
  if (difference_) return;
  executable_ = device_->prepare(work_.program);
  const std::vector<std::string> notes = executable_->notes();
  choice_ = work_.program.size() == 1 && !notes.empty() ? notes.front() : "";
  // The first runs on a GPU autotune and must not be timed.
  const int64_t several = machine_.block(1.0);
  if (machine_.kind() == DeviceKind::cuda) run(several);
  block_ = machine_.block(seconds_of([&] { run(several); }) / static_cast<double>(several));
}

}  // namespace elbo::bench
