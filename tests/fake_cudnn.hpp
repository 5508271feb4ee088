// What tests see of the library that stands in for cuDNN (tests/fake_cudnn.cpp).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace elbo {

struct FakeCudnn {
  // How it behaves.
  size_t version = 91900;
  bool starts = true;
  // What it saw.
  int alive = 0;  // handles and descriptions
  std::vector<std::string> log;
};

}  // namespace elbo

/// The library's state; found there by this name.
extern "C" elbo::FakeCudnn* fake_cudnn();
