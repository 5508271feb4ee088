#include "kernels/cuda/tuning.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <functional>
#include <sstream>

namespace elbo::cuda {
namespace {

const char* name_of(Format format) { return format == Format::f32 ? "f32" : "bf16"; }

template <class Op>
std::string key(const Op& op, const std::string& kind, const ConstReals& factor,
                const Reals& result) {
  std::ostringstream text;
  text << op.name << ' ' << op.sizes() << ' ' << kind << ' '
       << (op.precision == Precision::tf32 ? "tf32" : name_of(factor.format)) << ' '
       << name_of(result.format) << " aligned " << alignment_of(op);
  return text.str();
}

std::string key_of(const auto&) { return {}; }  // no product
template <class Op>
requires requires(const Op& op) { op.precision; }
std::string key_of(const Op& op) {
  // The three ops of a layer have the same members for dense layers and convolutions.
  if constexpr (requires { op.y; })
    return key(op, std::string(op.activation.name()), op.x, op.y);
  else if constexpr (requires { op.grad_x; })
    return key(op, op.saved ? std::string(op.activation.name()) : "none", op.grad_y, op.grad_x);
  else
    return key(op, op.accumulate ? "added" : "bias", op.x, Reals(op.grad_weight));
}

constexpr char kSeparator = '\t';

/// Returns a line of the file, with its line feed.
std::string line_of(const std::string& key, const Measurement& m) {
  // 1e30, larger than the time of any product, means "none": streams cannot read infinity.
  const double masked_time = m.masked.empty() ? 1e30 : m.masked_time;
  std::ostringstream line;
  line << key << kSeparator << m.best << kSeparator << m.masked << kSeparator << m.kernel << ' '
       << m.best_time << ' ' << masked_time << '\n';
  return line.str();
}

/// A file that is open and locked; closing it unlocks it. On a file system without locks, one
/// process at a time is assumed.
class LockedFile {
 public:
  explicit LockedFile(const std::filesystem::path& path)
      : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (is_open()) static_cast<void>(::flock(descriptor_, LOCK_EX) == 0);
  }
  ~LockedFile() {
    if (is_open()) ::close(descriptor_);
  }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  bool append(const std::string& text) const {
    return ::write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }

 private:
  int descriptor_;
};

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();  // empty for a directory, whose stream buffer throws
  return content.str();
}

}  // namespace

void Measurement::consider(const LibraryProduct& product, double time) {
  constexpr double kUnoverlapped = 0.7;
  time += kUnoverlapped;
  if (product.writes_mask() || product.reads_mask()) {
    if (time >= masked_time) return;
    masked = product.name();
    masked_time = time;
  } else {
    if (time >= (best.empty() ? kLead * kernel : best_time)) return;
    best = product.name();
    best_time = time;
  }
}

TimingPlan timing_plan(double once) {
  TimingPlan plan;
  if (once * plan.runs() <= kCandidateMicroseconds) return plan;
  const int runs = static_cast<int>(kCandidateMicroseconds / once);
  plan.repeats = std::max(1, runs / (plan.graphs + 1));
  plan.graphs = std::clamp(runs / plan.repeats - 1, 0, plan.graphs);
  return plan;
}

bool is_hopeless(double once, double best_once) {
  constexpr double kLaunching = 20.0;
  return once > 2.0 * best_once + kLaunching;
}

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

size_t alignment_of(const Op& op) {
  uintptr_t bits = 64;
  const auto look = [&](const auto&... pointers) {
    ((bits |= reinterpret_cast<uintptr_t>(pointers)), ...);
  };
  std::visit(
      [&](const auto& o) {
        if constexpr (requires { o.precision; }) {
          if constexpr (requires { o.y; })
            look(o.x.data, o.weight.data, o.bias, o.y.data);
          else if constexpr (requires { o.grad_x; })
            look(o.grad_y.data, o.weight.data, o.grad_x.data);
          else
            look(o.grad_y.data, o.x.data, o.grad_weight, o.grad_bias);
          if constexpr (requires { o.bias_bf16; }) look(o.bias_bf16);
        }
      },
      op);
  return static_cast<size_t>(bits & (~bits + 1));
}

std::string tuning_file_name(const std::string& gpu, int driver, const std::string& library,
                             const std::string& revision) {
  std::string name =
      gpu + " driver " + std::to_string(driver) + ' ' + library + " kernels " + revision + ".txt";
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.';
  };
  std::ranges::replace_if(name, std::not_fn(is_plain), '-');
  return name;
}

TuningFile::TuningFile(std::filesystem::path path) : path_(std::move(path)) {
  if (!path_.empty()) take_over(content_of(path_));
}

void TuningFile::take_over(const std::string& text) {
  size_ = text.size();
  std::istringstream lines(text);
  // A line without a line feed is incomplete: another process is writing it, or was interrupted.
  for (std::string line; std::getline(lines, line) && !lines.eof();) {
    std::istringstream fields(line);
    std::string key;
    Measurement m;
    std::getline(fields, key, kSeparator);
    std::getline(fields, m.best, kSeparator);
    std::getline(fields, m.masked, kSeparator);
    if (fields >> m.kernel >> m.best_time >> m.masked_time && !key.empty())
      measurements_.try_emplace(key, m);
  }
}

const Measurement* TuningFile::find(const std::string& key) {
  if (!path_.empty() && !measurements_.contains(key)) {
    std::error_code missing;
    const std::uintmax_t size = std::filesystem::file_size(path_, missing);
    if (!missing && size != size_) take_over(content_of(path_));
  }
  const auto found = measurements_.find(key);
  return found == measurements_.end() ? nullptr : &found->second;
}

const Measurement& TuningFile::add(const std::string& key, const Measurement& measurement) {
  written_ = false;
  if (!path_.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(path_.parent_path(), ignored);
    const LockedFile file(path_);
    const std::string text = file.is_open() ? content_of(path_) : std::string();
    take_over(text);
    written_ = measurements_.contains(key);
    if (file.is_open() && !written_) {
      const bool is_cut = !text.empty() && text.back() != '\n';
      written_ = file.append((is_cut ? "\n" : "") + line_of(key, measurement));
    }
  }
  return measurements_.try_emplace(key, measurement).first->second;
}

std::vector<std::string> choose(const Program& program,
                                const std::map<std::string, Measurement>& measurements) {
  std::vector<const Measurement*> measured;
  std::vector<std::string> chosen;
  std::map<const void*, size_t> maker;  // index of the op that writes a layer's output
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
    if (f.masked_time + b.masked_time >= kLead * (f.best_time + b.best_time)) continue;
    chosen[forward] = f.masked;
    chosen[place] = b.masked;
  }
  return chosen;
}

}  // namespace elbo::cuda
