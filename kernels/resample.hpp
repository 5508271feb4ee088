// Contract: resampling of a feature map by an integer factor.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/feature_map.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/activation.hpp"
#include "kernels/math/resampling.hpp"

namespace elbo {

/// A coarse grid and a fine one that is `factor` times as high and wide (pooling may ignore fewer
/// than `factor` of its rows and columns).
struct ResampleShape {
  math::Resampling resampling;
  FeatureMap coarse, fine;
  int32_t factor = 2;

  bool enlarges() const {
    bool does = false;
    resampling.visit([&](auto r) { does = decltype(r)::enlarges; });
    return does;
  }
  const FeatureMap& in() const { return enlarges() ? coarse : fine; }
  const FeatureMap& out() const { return enlarges() ? fine : coarse; }
};

/// y = R x with the weights R of the resampling: y[fine] = sum over coarse of w(fine, coarse)
/// x[coarse] for upsampling, y[coarse] = sum over fine of w(fine, coarse) x[fine] for pooling.
struct ResampleForward {
  static constexpr std::string_view name = "resample_forward";
  Rows rows;
  ResampleShape shape;
  ConstReals x;  // [rows, shape.in()]
  Reals y;       // [rows, shape.out()]

  AccessList accesses() const {
    const int64_t m = rows.capacity();
    return AccessList()
        .reads(rows.state, 1)
        .reads(x, m * shape.in().size())
        .writes(y, m * shape.out().size());
  }
  std::string sizes() const { return sizes_text(rows.capacity(), shape.in(), shape.out()); }
  double flops() const { return 0.0; }
};

/// grad_x = (R^T grad_y) ∘ φ'(saved), as in DenseBackwardInput.
struct ResampleBackward {
  static constexpr std::string_view name = "resample_backward";
  Rows rows;
  ResampleShape shape;
  math::Activation activation;  // of the layer that computed x
  ConstReals grad_y;            // [rows, shape.out()]
  ConstReals saved;             // [rows, shape.in()], like grad_x, or null
  Reals grad_x;                 // [rows, shape.in()]

  AccessList accesses() const {
    const int64_t m = rows.capacity();
    return AccessList()
        .reads(rows.state, 1)
        .reads(grad_y, m * shape.out().size())
        .reads(saved, m * shape.in().size())
        .writes(grad_x, m * shape.in().size());
  }
  std::string sizes() const { return sizes_text(rows.capacity(), shape.in(), shape.out()); }
  double flops() const { return 0.0; }
};

}  // namespace elbo
