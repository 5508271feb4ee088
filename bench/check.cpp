#include "bench/check.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "bench/reference.hpp"

namespace elbo::bench {
namespace {

using reference::Output;
using Outputs = std::vector<Output>;
using Words = std::vector<std::vector<uint32_t>>;  // one vector per output

Words copy(const Outputs& outputs) {
  Words words;
  for (const Output& output : outputs) {
    const auto* data = static_cast<const uint32_t*>(output.data);
    words.emplace_back(data, data + output.count);
  }
  return words;
}

void restore(const Outputs& outputs, const Words& words) {
  for (size_t i = 0; i < outputs.size(); ++i)
    std::memcpy(outputs[i].data, words[i].data(), words[i].size() * sizeof(uint32_t));
}

std::string place(const Output& output, size_t element) {
  return std::string(output.name) + "[" + std::to_string(element) + "] ";
}

std::optional<std::string> difference(const Output& output, const std::vector<uint32_t>& got,
                                      const std::vector<uint32_t>& want) {
  if (output.roundings == 0.0) {
    const auto [g, w] = std::mismatch(got.begin(), got.end(), want.begin());
    if (g == got.end()) return std::nullopt;
    return place(output, static_cast<size_t>(g - got.begin())) + "has bits " + std::to_string(*g) +
           ", the reference " + std::to_string(*w);
  }
  float largest = 0.0f;
  for (const uint32_t w : want) largest = std::max(largest, std::abs(std::bit_cast<float>(w)));
  const double bound = output.roundings * 0x1p-24 * largest;
  for (size_t i = 0; i < got.size(); ++i) {
    const auto g = std::bit_cast<float>(got[i]), w = std::bit_cast<float>(want[i]);
    if (std::abs(static_cast<double>(g) - w) <= bound) continue;  // false where either is NaN
    return place(output, i) + "is " + std::to_string(g) + ", the reference " + std::to_string(w) +
           ", more than " + std::to_string(bound) + " apart";
  }
  return std::nullopt;
}

std::optional<std::string> difference(Device& device, const Op& op) {
  const Outputs outputs = reference::outputs(op);
  const Words before = copy(outputs);
  device.run({op});
  const Words got = copy(outputs);
  restore(outputs, before);
  reference::run(op);
  const Words want = copy(outputs);
  restore(outputs, got);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (const auto differs = difference(outputs[i], got[i], want[i]))
      return std::string(name_of(op)) + ": " + *differs;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> difference(Device& device, const Program& program) {
  Outputs outputs;
  for (const Op& op : program)
    for (Output& output : reference::outputs(op)) outputs.push_back(output);
  const Words before = program.size() > 1 ? copy(outputs) : Words{};

  for (const Op& op : program)
    if (const auto differs = difference(device, op)) return differs;
  if (program.size() == 1) return std::nullopt;

  const Words stepwise = copy(outputs);
  restore(outputs, before);
  device.run(program);
  const Words whole = copy(outputs);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (whole[i] != stepwise[i])
      return std::string(outputs[i].name) + " differs between the program run whole and op by op";
  return std::nullopt;
}

}  // namespace elbo::bench
