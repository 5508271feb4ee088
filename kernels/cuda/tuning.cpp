#include "kernels/cuda/tuning.hpp"

#include <fstream>
#include <sstream>

#include "kernels/core/error.hpp"

namespace elbo::cuda {
namespace {

const char* name_of(Format format) { return format == Format::f32 ? "f32" : "bf16"; }

std::string key(std::string_view name, const Rows& rows, int32_t in, int32_t out,
                const std::string& kind, bool tf32, const ConstReals& factor, const Reals& result) {
  std::ostringstream text;
  text << name << ' ' << rows.capacity() << 'x' << in << 'x' << out << ' ' << kind << ' '
       << (tf32 ? "tf32" : name_of(factor.format)) << ' ' << name_of(result.format);
  return text.str();
}

std::string key_of(const DenseForward& op) {
  return key(op.name, op.rows, op.in, op.out, std::string(op.activation.name()), op.tf32, op.x,
             op.y);
}
std::string key_of(const DenseBackwardInput& op) {
  return key(op.name, op.rows, op.in, op.out, op.saved ? std::string(op.activation.name()) : "none",
             op.tf32, op.grad_y, op.grad_x);
}
std::string key_of(const DenseBackwardWeights& op) {
  return key(op.name, op.rows, op.in, op.out, op.accumulate ? "added" : "bias", op.tf32, op.x,
             Reals(op.grad_weight));
}
template <class O>
std::string key_of(const O&) {
  return {};
}

constexpr char kSeparator = '\t';

}  // namespace

std::string tuning_key(const Op& op) {
  return std::visit([](const auto& o) { return key_of(o); }, op);
}

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
