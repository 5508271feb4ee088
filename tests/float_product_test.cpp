// Float products on the CPU, with every instruction set that this processor supports.
#include <utility>

#include "tests/layer_products.hpp"

namespace elbo {
namespace {

/// Whole and partial tiles, lines, panels, reduction blocks and groups of panels. Batches below and
/// above the row limit of the skinny product, and sums too short for it.
constexpr LayerShape kShapes[] = {{1, 1, 1, 1},         {3, 2, 5, 7},       {1, 1, 32, 1},
                                  {1, 1, 128, 1},       {2, 2, 129, 3},     {3, 3, 143, 47},
                                  {4, 4, 127, 49},      {20, 20, 784, 40},  {20, 17, 400, 784},
                                  {32, 32, 200, 130},   {32, 31, 1100, 8},  {33, 33, 784, 33},
                                  {31, 20, 2100, 1041}, {128, 128, 20, 50}, {300, 299, 48, 64},
                                  {600, 513, 90, 33},   {5, 0, 128, 3}};

TEST(FloatProduct, MatchesDoubleSums) {
  for (const LayerShape& shape : kShapes) {
    const DenseLayer layer(shape, Precision::fp32);
    for (const Way& way : ways())
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(testing::Message() << shape << ", " << way.execution.name);
        layer.expect(layer.run(way, accumulate), accumulate ? 0.5f : 0.0f);
      }
  }
}

/// A row's result does not depend on the number or content of the rows after it.
TEST(FloatProduct, DoesNotDependOnFollowingRows) {
  for (const LayerShape& full : kShapes)
    for (const int32_t active : {1, full.active / 2, full.active - 1}) {
      if (active < 1 || active >= full.active) continue;
      LayerShape less = full;
      less.active = active;
      const DenseLayer layer(full, Precision::fp32), shorter(less, Precision::fp32);
      for (const Way& way : ways()) {
        SCOPED_TRACE(testing::Message() << less << ", " << way.execution.name);
        Products all = layer.run(way), some = shorter.run(way);
        const auto rows = static_cast<size_t>(active);
        for (const auto& [values, columns] :
             {std::pair(&Products::y, full.out), std::pair(&Products::grad_x, full.in)}) {
          (all.*values).resize(rows * static_cast<size_t>(columns));
          (some.*values).resize((all.*values).size());
          EXPECT_TRUE(same_bits(some.*values, all.*values));
        }
      }
    }
}

}  // namespace
}  // namespace elbo
