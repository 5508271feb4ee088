// Choice of products for a program, with fake libraries and a fake GPU.
#include "kernels/cuda/product_choice.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "kernels/cuda/gpu_error.hpp"
#include "tests/file_fixture.hpp"

namespace elbo::cuda {
namespace {

using Names = std::vector<std::string>;

struct NamedProduct : LibraryProduct {
  explicit NamedProduct(std::string name) : text(std::move(name)) {}
  void enqueue(Stream) override {}
  bool whole() const override { return true; }
  std::string name() const override { return text; }
  std::string text;
};

/// The behaviour of library and GPU, and the calls that they received.
struct Behaviour {
  Names offered = {"fast"};
  std::string shortage;                        // of candidates
  std::map<std::string, std::string> refused;  // products that cannot be run, for a reason
  std::function<Measurement(const Op&)> measured = [](const Op&) {
    return Measurement{.kernel = 4.0, .best = "fast", .best_time = 2.0};
  };
  int made = 0;
  std::vector<double> measured_flops;
};

class Library : public ProductLibrary {
 public:
  explicit Library(Behaviour& behaviour) : behaviour_(behaviour) { ++behaviour.made; }
  std::string version() const override { return "made up 1"; }
  std::string path() const override { return "/lib/made-up.so"; }
  Candidates candidates(const Op&) override {
    Candidates all;
    for (const std::string& name : behaviour_.offered)
      all.products.push_back(std::make_unique<NamedProduct>(name));
    all.shortage = behaviour_.shortage;
    return all;
  }

 private:
  Behaviour& behaviour_;
};

class Trials : public ProductTrials {
 public:
  explicit Trials(Behaviour& behaviour) : behaviour_(behaviour) {}
  Measurement measure(const Op& op, ProductLibrary&) override {
    behaviour_.measured_flops.push_back(flops_of(op));
    return behaviour_.measured(op);
  }
  size_t try_out(const Op&, LibraryProduct& product) override {
    const auto refusal = behaviour_.refused.find(product.name());
    if (refusal != behaviour_.refused.end()) throw DeviceError(refusal->second);
    return 2;
  }

 private:
  Behaviour& behaviour_;
};

DenseForward layer(int32_t in, int32_t out) {
  DenseForward op;
  op.rows = {nullptr, 128, 1};
  op.in = in;
  op.out = out;
  return op;
}

class ProductChoices : public testing::Test {
 protected:
  /// Chooses with libraries loaded anew, as another process would.
  ProductChoice choose(const Program& program, const TimeBox& time = TimeBox(60.0)) {
    const auto path = [this](const std::string& library) {
      return directory_ / (library + ".txt");
    };
    std::vector<ProductSource> sources;
    sources.emplace_back(
        "matrix products", is_matrix_product,
        [this](std::string&) { return std::make_unique<Library>(dense_); }, path);
    sources.emplace_back(
        "convolutions", is_convolution,
        [this](std::string& reason) -> std::unique_ptr<ProductLibrary> {
          ++convolutions_.made;
          reason = "there is none";
          return nullptr;
        },
        path);
    Trials trials(dense_);
    return choose_products(program, sources, trials, time);
  }
  static Names names(const ProductChoice& choice) {
    Names list;
    for (const auto& product : choice.products) list.push_back(product ? product->name() : "");
    return list;
  }
  static std::string text(const ProductChoice& choice) {
    std::string lines;
    for (const std::string& note : choice.notes) lines += note + '\n';
    return lines;
  }
  std::string file() const {
    std::ifstream lines(directory_ / "made up 1.txt");
    return {std::istreambuf_iterator<char>(lines), {}};
  }

  TemporaryDirectory directory_;
  Behaviour dense_, convolutions_;
};

TEST_F(ProductChoices, AreNotedWithTheLibrary) {
  const ProductChoice choice = choose({layer(8, 4), SquaredNorm{}});
  EXPECT_EQ(names(choice), (Names{"fast", ""}));
  EXPECT_EQ(choice.notes, (Names{"matrix products: made up 1 (/lib/made-up.so)",
                                 "dense_forward 128x8x4 identity f32 f32 aligned 64: fast, 2.0 us, "
                                 "2 nodes (kernel 4.0 us)"}));
}

// Starting a library takes up to a second.
TEST_F(ProductChoices, LoadLibrariesForTheirOwnKindAlone) {
  choose({SquaredNorm{}});
  EXPECT_EQ(dense_.made, 0);
  choose({layer(8, 4), layer(4, 8)});
  EXPECT_EQ(dense_.made, 1);
  EXPECT_EQ(convolutions_.made, 0);
  const ProductChoice choice = choose({ConvolutionForward{}, ConvolutionForward{}});
  EXPECT_EQ(convolutions_.made, 1);
  EXPECT_EQ(choice.notes, Names{"convolutions by own kernels alone: there is none"});
}

TEST_F(ProductChoices, AreMeasuredOnceForAllProcesses) {
  const Program program = {layer(8, 4), layer(8, 4), layer(4, 8)};
  choose(program);
  EXPECT_EQ(dense_.measured_flops.size(), 2u);
  choose(program);
  EXPECT_EQ(dense_.measured_flops.size(), 2u);
}

TEST_F(ProductChoices, OfAnotherProcessWinIfItWasFaster) {
  dense_.offered = {"fast", "other"};
  dense_.measured = [this](const Op& op) {
    TuningFile(directory_ / "made up 1.txt").add(tuning_key(op), {4.0, "other", 2.5});
    return Measurement{.kernel = 4.0, .best = "fast", .best_time = 2.0};
  };
  EXPECT_EQ(names(choose({layer(8, 4)})), Names{"other"});
}

// By a clock that every measurement takes 10 s of.
TEST_F(ProductChoices, TakeNoLongerThanTheirTime) {
  double now = 0.0;
  dense_.measured = [&](const Op&) {
    now += 10.0;
    return Measurement{.kernel = 4.0, .best = "fast", .best_time = 2.0};
  };
  const Program program = {layer(1, 1), layer(4, 4), layer(2, 2), layer(3, 3)};
  const ProductChoice choice = choose(program, TimeBox(15.0, [&] { return now; }));
  EXPECT_EQ(names(choice), (Names{"", "fast", "", "fast"})) << "the costliest first";
  EXPECT_NE(
      text(choice).find("measuring products took more than 15.0 s: 2 are not measured and use "
                        "kernels (dense_forward 128x2x2 identity f32 f32 aligned 64; "
                        "dense_forward 128x1x1 identity f32 f32 aligned 64); another run"),
      std::string::npos)
      << text(choice);
  EXPECT_EQ(file().find("128x1x1"), std::string::npos);
  EXPECT_NE(file().find("128x4x4"), std::string::npos);
  EXPECT_EQ(names(choose(program)), (Names(4, "fast"))) << "the next process measures the rest";
}

TEST_F(ProductChoices, MadeWhileMemoryRanOutAreNotKept) {
  dense_.measured = [](const Op&) {
    return Measurement{
        .kernel = 4.0, .best = "fast", .best_time = 2.0, .shortage = "no room for a mask"};
  };
  const ProductChoice choice = choose({layer(8, 4)});
  EXPECT_EQ(names(choice), Names{"fast"});
  EXPECT_EQ(file(), "");
  EXPECT_NE(
      text(choice).find("aligned 64 is not kept, since memory ran out while measuring (no room "
                        "for a mask): another run may choose otherwise"),
      std::string::npos)
      << text(choice);
}

TEST_F(ProductChoices, ThatCannotBeHadAreNoted) {
  const Program program = {layer(8, 4)};
  choose(program);
  dense_.refused["fast"] = "no room";
  EXPECT_NE(text(choose(program)).find("fast, could not be had (no room): another run may differ"),
            std::string::npos);
  EXPECT_EQ(names(choose(program)), Names{""});
  dense_.refused.clear();
  dense_.offered = {};
  dense_.shortage = "no room for a workspace";
  EXPECT_NE(text(choose(program)).find("could not be had (no room for a workspace): another run"),
            std::string::npos);
  dense_.shortage = "";
  EXPECT_NE(text(choose(program)).find("could not be had (the library does not offer it): another"),
            std::string::npos);
}

TEST_F(ProductChoices, ThatWereNotMeasuredAreNoted) {
  dense_.measured = [](const Op&) -> Measurement { throw OutOfMemory("no room"); };
  const ProductChoice choice = choose({layer(8, 4)});
  EXPECT_EQ(names(choice), Names{""});
  EXPECT_NE(text(choice).find("kernel, not measured (no room): another run may choose otherwise"),
            std::string::npos);
  EXPECT_EQ(file(), "");
}

// A product that no library has is neither timed nor kept.
TEST_F(ProductChoices, OfKernelsAloneAreNotKept) {
  dense_.measured = [](const Op&) { return Measurement{}; };
  const ProductChoice choice = choose({layer(8, 4)});
  EXPECT_EQ(choice.notes.back(),
            "dense_forward 128x8x4 identity f32 f32 aligned 64: kernel, the only one");
  EXPECT_EQ(file(), "");
}

TEST_F(ProductChoices, EndWithALostGpu) {
  dense_.measured = [](const Op&) -> Measurement { throw GpuLost("lost"); };
  EXPECT_THROW(choose({layer(8, 4)}), GpuLost);
}

}  // namespace
}  // namespace elbo::cuda
