#include "kernels/cuda/tuning.hpp"

#include <fstream>
#include <sstream>

#include "kernels/core/error.hpp"

namespace elbo::cuda {
namespace {

const char* name_of(Format format) { return format == Format::f32 ? "f32" : "bf16"; }

template <class Op>
std::string shape_of(const Op& op) {
  return std::to_string(op.rows.capacity()) + 'x' + std::to_string(op.in) + 'x' +
         std::to_string(op.out);
}
std::string text_of(const FeatureMap& map) {
  return std::to_string(map.height) + 'x' + std::to_string(map.width) + 'x' +
         std::to_string(map.channels);
}
/// "128x28x28x3-14x14x32/4/2/1/1": rows, both sides, kernel, stride, padding and groups.
template <class Op>
requires requires(const Op& op) { op.transposed; }
std::string shape_of(const Op& op) {
  const ConvolutionShape& s = op.shape;
  std::string text =
      std::to_string(op.rows.capacity()) + 'x' + text_of(op.in()) + '-' + text_of(op.out());
  for (const int32_t number : {s.kernel, s.stride, s.padding, s.groups})
    text += '/' + std::to_string(number);
  return text + (op.transposed ? " transposed" : "");
}

template <class Op>
std::string key(const Op& op, const std::string& kind, const ConstReals& factor,
                const Reals& result) {
  std::ostringstream text;
  text << op.name << ' ' << shape_of(op) << ' ' << kind << ' '
       << (op.precision == Precision::tf32 ? "tf32" : name_of(factor.format)) << ' '
       << name_of(result.format);
  return text.str();
}

std::string key_of(const auto&) { return {}; }  // no product
template <class Op>
requires requires(const Op& op) { op.precision; }
std::string key_of(const Op& op) {
  // The three ops of a layer have the same members, whatever it multiplies.
  if constexpr (requires { op.y; })
    return key(op, std::string(op.activation.name()), op.x, op.y);
  else if constexpr (requires { op.grad_x; })
    return key(op, op.saved ? std::string(op.activation.name()) : "none", op.grad_y, op.grad_x);
  else
    return key(op, op.accumulate ? "added" : "bias", op.x, Reals(op.grad_weight));
}

constexpr char kSeparator = '\t';

}  // namespace

std::string tuning_key(const Op& op) {
  return std::visit([](const auto& o) { return key_of(o); }, op);
}

bool is_convolution(const Op& op) {
  return std::visit(
      [](const auto& o) {
        return requires { o.transposed; };
      },
      op);
}
bool is_matrix_product(const Op& op) { return !tuning_key(op).empty() && !is_convolution(op); }

TuningFile::TuningFile(std::filesystem::path path) : path_(std::move(path)) {
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string key, number;
    Measurement m;
    std::getline(fields, key, kSeparator);
    std::getline(fields, m.best, kSeparator);
    std::getline(fields, m.masked, kSeparator);
    if (fields >> m.kernel >> m.best_time >> m.masked_time && !key.empty())
      measurements_.insert_or_assign(key, m);
  }
}

const Measurement* TuningFile::find(const std::string& key) const {
  const auto found = measurements_.find(key);
  return found == measurements_.end() ? nullptr : &found->second;
}

bool TuningFile::add(const std::string& key, const Measurement& m) {
  measurements_.insert_or_assign(key, m);
  if (path_.empty()) return false;
  std::error_code ignored;
  std::filesystem::create_directories(path_.parent_path(), ignored);
  // A number too large for any product stands for "none": streams do not read infinity back.
  const double masked_time = m.masked.empty() ? 1e30 : m.masked_time;
  std::ostringstream line;
  line << key << kSeparator << m.best << kSeparator << m.masked << kSeparator << m.kernel << ' '
       << m.best_time << ' ' << masked_time << '\n';
  std::ofstream file(path_, std::ios::app);
  file << line.str();
  return static_cast<bool>(file.flush());
}

std::vector<std::string> choose(const Program& program,
                                const std::map<std::string, Measurement>& measurements) {
  std::vector<const Measurement*> measured;
  std::vector<std::string> chosen;
  std::map<const void*, size_t> maker;  // of a layer's output
  for (const Op& op : program) {
    const auto found = measurements.find(tuning_key(op));
    measured.push_back(found == measurements.end() ? nullptr : &found->second);
    chosen.push_back(measured.back() == nullptr ? "" : measured.back()->best);
    const size_t place = measured.size() - 1;
    if (measured.back() == nullptr) continue;
    if (const auto* forward = std::get_if<DenseForward>(&op)) maker[forward->y.data] = place;
    const auto* backward = std::get_if<DenseBackwardInput>(&op);
    if (backward == nullptr || maker.count(backward->saved.data) == 0) continue;
    const size_t forward = maker.at(backward->saved.data);
    const Measurement &f = *measured[forward], &b = *measured[place];
    if (f.masked.empty() || b.masked.empty()) continue;
    if (f.masked_time + b.masked_time >= f.best_time + b.best_time) continue;
    chosen[forward] = f.masked;
    chosen[place] = b.masked;
  }
  return chosen;
}

}  // namespace elbo::cuda
