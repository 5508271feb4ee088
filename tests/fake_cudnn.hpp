// The state of the fake cuDNN (tests/fake_cudnn.cpp) that tests set and read.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace elbo {

struct FakeCudnn {
  // Set by tests: the behaviour of the library.
  size_t version = 91900;
  bool starts = true;
  // Recorded by the library.
  int alive = 0;  // number of handles and descriptors
  std::vector<std::string> log;
};

}  // namespace elbo

/// Returns the library's state. Tests look this symbol up by its name.
extern "C" elbo::FakeCudnn* fake_cudnn();
