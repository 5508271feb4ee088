// Every layer of the list in float against PyTorch in double, recorded as networks record it:
// forward, the gradient before its input's activation, and those of its parameters. The cases are
// python_tools/elbo_tools/golden/layers.py's.
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "host/nn/layer.hpp"
#include "host/nn/layers.hpp"
#include "kernels/math/philox.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/golden.hpp"

namespace elbo {
namespace {

using nlohmann::json;

struct LayerCase {
  std::string layer, name;
};

void PrintTo(const LayerCase& tested, std::ostream* out) {
  *out << tested.layer << ", " << tested.name;
}

std::filesystem::path file_of(std::string_view layer) {
  return golden_folder() / (std::string(layer) + "_layer.safetensors");
}

std::vector<LayerCase> layer_cases() {
  std::vector<LayerCase> cases;
  for_each_layer([&](std::string_view layer, std::string_view) {
    if (!std::filesystem::exists(file_of(layer))) return;  // LayerCases misses it
    const GoldenFile golden(file_of(layer));
    for (const auto& [name, description] : golden.settings())
      cases.push_back({std::string(layer), name});
  });
  return cases;
}

FeatureMap map_of(const json& sizes) {
  return {sizes.at(0).get<int32_t>(), sizes.at(1).get<int32_t>(), sizes.at(2).get<int32_t>()};
}

math::Activation activation_of(const json& j, const char* key) {
  return {math::Activations::find(j.at(key).get<std::string>())};
}

ConvolutionTaps taps_of(const json& j) {
  ConvolutionTaps taps = {.kernel = j.at("kernel").get<int32_t>(),
                          .stride = j.at("stride").get<int32_t>(),
                          .padding = j.at("padding").get<int32_t>(),
                          .groups = j.at("groups").get<int32_t>()};
  if (j.contains("output_padding")) j.at("output_padding").get_to(taps.output_padding);
  return taps;
}

// The description of each layer in a case: a layer without one does not compile.
void read(const json& j, DenseSpec& spec) {
  spec = {map_of(j.at("out")), activation_of(j, "activation")};
}
void read(const json& j, ConvolutionSpec& spec) {
  spec = {j.at("channels").get<int32_t>(), taps_of(j), activation_of(j, "activation")};
}
void read(const json& j, TransposedConvolutionSpec& spec) {
  spec = {j.at("channels").get<int32_t>(), taps_of(j), activation_of(j, "activation")};
}
void read(const json& j, ResampleSpec& spec) {
  spec = {{math::Resamplings::find(j.at("resampling").get<std::string>())},
          j.at("factor").get<int32_t>()};
}
void read(const json& j, GroupNormSpec& spec) {
  spec = {j.at("groups").get<int32_t>(), activation_of(j, "activation")};
}
void read(const json& j, ResidualBlockSpec& spec) {
  spec = {j.at("channels").get<int32_t>(), j.at("norm_groups").get<int32_t>(),
          activation_of(j, "activation")};
}

LayerSpec spec_of(const json& j) {
  LayerSpec spec;
  const auto take = [&]<class Spec>(Spec described) {
    if (j.at("layer") != Spec::name) return;
    read(j, described);
    spec = described;
  };
  [&]<class... Specs>(std::type_identity<std::variant<Specs...>>) {
    (take(Specs{}), ...);
  }(std::type_identity<LayerSpec>());
  return spec;
}

class GoldenLayer : public testing::TestWithParam<LayerCase> {
 protected:
  GoldenLayer()
      : golden_(file_of(GetParam().layer)),
        case_(json::parse(golden_.setting(GetParam().name))),
        in_(map_of(case_.at("in"))),
        made_by_(activation_of(case_, "made_by")),
        active_(case_.value("active", case_.at("rows").get<int32_t>())),
        input_parameter_(layout_.add("input", {1})),
        layer_(make_layer(layout_, GetParam().name, in_, spec_of(case_))),
        device_(device_under_test()),
        arena_(Arena::for_training(device_, layout_, Precision::fp32)),
        state_(device_, 1, "a test's state"),
        recorder_(device_, arena_) {
    StepState state;
    state.rows = active_;
    state_.upload(std::vector{state});
    std::vector<float> weights(static_cast<size_t>(layout_.size()));
    for (const Parameter& p : parameters()) {
      const std::vector<float> values = golden_.floats(p.name);
      EXPECT_EQ(values.size(), static_cast<size_t>(p.count())) << p.name;
      std::copy(values.begin(), values.end(), weights.begin() + p.offset);
    }
    arena_.set_weights(weights);
    arena_.gradients.upload(
        std::vector(weights.size(), std::numeric_limits<float>::quiet_NaN()));  // to be overwritten
  }

  /// The layer's own.
  std::vector<Parameter> parameters() const {
    return {layout_.parameters().begin() + 1, layout_.parameters().end()};
  }
  std::string tensor(const char* name) const { return GetParam().name + "." + name; }

  /// The rows of a tensor [capacity, columns] that are in the step, followed by values that no sum
  /// may include: CPU ops ignore those rows, CUDA's products read zeros there.
  void upload(const Value& value, std::vector<float> rows) {
    const size_t all = static_cast<size_t>(value.rows.capacity()) * value.columns;
    rows.resize(
        all, device_->kind() == DeviceKind::cpu ? std::numeric_limits<float>::quiet_NaN() : 0.0f);
    device_->upload(value.data.data, rows.data(), rows.size() * sizeof(float));
  }
  std::vector<float> download(const void* from, int32_t columns) const {
    std::vector<float> rows(static_cast<size_t>(active_) * columns);
    device_->download(rows.data(), from, rows.size() * sizeof(float));
    return rows;
  }
  void run() {
    device_->prepare(recorder_.program())->run(1);
    device_->synchronize();
  }

  /// The layer's input, as made by an activation of the case's values, on the tape: its gradient is
  /// left in grad_input_.
  Value input() {
    Value before = recorder_.tensor(rows(), in_.size());
    Value x = recorder_.tensor(rows(), in_.size());
    std::vector<float> values = golden_.floats(tensor("input"));
    upload(before, values);
    for (float& v : values) v = math::activate(made_by_, v);
    upload(x, values);
    x.activation = made_by_;
    made_by_.visit([&](auto formula) {
      using Activation = decltype(formula);
      if constexpr (!std::is_same_v<Activation, math::Identity>)
        x.saved = Activation::derivative_from_input ? before.data : x.data;
    });
    recorder_.on_tape(x, {}, {input_parameter_}, [this](const Value& g) { grad_input_ = g; });
    return x;
  }
  Rows rows() const { return {state_.data(), case_.at("rows").get<int32_t>()}; }

  /// The case's gradient at y, taken through the activation that made y, as a layer behind it does.
  Value output_gradient(const Value& y) {
    std::vector<float> gradient = golden_.floats(tensor("grad_y"));
    if (y.saved) {
      const std::vector<float> saved = download(y.saved.data, y.columns);
      for (size_t i = 0; i < gradient.size(); ++i)
        gradient[i] *= math::activation_derivative(y.activation, saved[i]);
    }
    const Value value = recorder_.tensor(rows(), y.columns);
    upload(value, gradient);
    return value;
  }

  GoldenFile golden_;
  json case_;
  FeatureMap in_;
  math::Activation made_by_;
  int32_t active_;
  ParameterLayout layout_;
  int64_t input_parameter_;  // one that is trained: a gradient is wanted at the input
  std::unique_ptr<Layer> layer_;
  std::shared_ptr<Device> device_;
  Arena arena_;
  Buffer<StepState> state_;
  Recorder recorder_;
  Value grad_input_;
};

TEST_P(GoldenLayer, IsPyTorchs) {
  const double rounding = rounding_of(case_.at("terms").get<double>());
  Value y = input();
  recorder_.train({0, layout_.size()});
  for (int i = 0; i < case_.at("times"); ++i) y = layer_->forward(recorder_, y, Format::f32);
  run();
  EXPECT_EQ(y.columns, layer_->out().size());
  expect_near(download(y.data.data, y.columns), golden_.values(tensor("y")), rounding, "y");

  const Value grad_y = output_gradient(y);
  recorder_.add_gradient(y, grad_y);
  recorder_.backward();
  run();
  ASSERT_TRUE(grad_input_.data);
  expect_near(download(grad_input_.data.data, in_.size()), golden_.values(tensor("grad_input")),
              rounding, "grad_input");
  for (const Parameter& p : parameters()) {
    const std::vector<double> want = golden_.values("gradient." + p.name);
    // A bias sums gradients at y; with few channels, the sums may be smaller.
    double magnitude = largest(want);
    if (p.name.ends_with(".bias"))
      for (const float g : download(grad_y.f32(), grad_y.columns))
        magnitude = std::max(magnitude, std::abs(double{g}));
    expect_near(
        arena_.gradients.download(static_cast<size_t>(p.offset), static_cast<size_t>(p.count())),
        want, std::vector<double>(want.size(), rounding * magnitude), p.name);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenLayer, testing::ValuesIn(layer_cases()),
                         [](const auto& tested) {
                           std::string name = tested.param.layer + "_" + tested.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Bits that trainings of earlier versions started with.
TEST(InitializeUniform, DrawsEveryWeightByItsPosition) {
  const uint64_t subsequence = math::noise_subsequence(math::NoiseStream::initialize, 0);
  const double limit = std::sqrt(6.0 / (30.0 + 20.0));
  for (const int64_t offset : {0, 1, 6, 64})
    for (const int64_t count : {1, 2, 5, 1003}) {
      std::vector<float> got(static_cast<size_t>(offset + count) + 3, -9.0f), want = got;
      for (int64_t i = offset; i < offset + count; ++i) {
        const math::Bits4 bits = math::philox4x32(5, subsequence, static_cast<uint64_t>(i) / 4);
        const double u = math::uniform(bits.value[i % 4]);
        want[static_cast<size_t>(i)] = static_cast<float>(limit * (2.0 * u - 1.0));
      }
      initialize_uniform(got, offset, count, {30.0, 20.0}, math::Activation::of<math::Tanh>(), 5);
      EXPECT_EQ(got, want) << offset << ", " << count;
    }
}

TEST(LayerCases, CoverTheLists) {
  std::set<std::string> seen;
  for (const LayerCase& tested : layer_cases()) {
    const json j = json::parse(GoldenFile(file_of(tested.layer)).setting(tested.name));
    ASSERT_EQ(j.at("layer"), tested.layer);
    seen.insert(tested.layer);
    seen.insert(tested.layer + " " + j.at("activation").get<std::string>());
    if (j.contains("resampling")) seen.insert(j.at("resampling").get<std::string>());
    if (j.contains("active")) seen.insert(tested.layer + " of a part of the batch");
    if (j.at("times") > 1) seen.insert(tested.layer + " applied twice");
  }
  for_each_layer([&](std::string_view layer, std::string_view) {
    EXPECT_TRUE(seen.contains(std::string(layer))) << layer;
    EXPECT_TRUE(seen.contains(std::string(layer) + " of a part of the batch")) << layer;
    EXPECT_TRUE(seen.contains(std::string(layer) + " applied twice") ||
                layer == ResampleSpec::name)  // which has nothing to add up
        << layer;
  });
  for (const std::string_view layer : {ConvolutionSpec::name, TransposedConvolutionSpec::name})
    for (const std::string_view activation : math::Activations::names)
      EXPECT_TRUE(seen.contains(std::string(layer) + " " + std::string(activation)))
          << layer << " " << activation;
  for (const std::string_view resampling : math::Resamplings::names)
    EXPECT_TRUE(seen.contains(std::string(resampling))) << resampling;
}

}  // namespace
}  // namespace elbo
