// Finds the fastest implementation of a product on this GPU. Candidates are measured when a program
// is prepared, against the kernel of product.cuh, and must agree with its result. Measurements are
// kept in a file, so that later programs and processes choose the same implementation: others add
// in another order, and two runs must have the same bits.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "kernels/cuda/library.hpp"

namespace elbo::cuda {

/// The fastest ways to compute one op. Times in microseconds; an empty name is the kernel.
struct Measurement {
  double kernel = 0.0;  // 0: not timed, since there is no other candidate
  std::string best = {};
  double best_time = 0.0;
  std::string masked = {};  // the best that writes or reads a mask, if any agrees
  double masked_time = std::numeric_limits<double>::infinity();
  std::string shortage = {};  // why candidates are missing for lack of memory; not kept

  /// Considers a library's product, which was measured in repeats of itself. In a program it costs
  /// more, because the engine's kernels overlap with the previous kernel and library kernels do
  /// not. An unmasked product must also beat the kernel by more than the noise of such times
  /// (kLead).
  void consider(const LibraryProduct& product, double time);
};

/// A library's product, or a pair of them, may take at most this fraction of the time that it
/// replaces.
inline constexpr double kLead = 0.95;

/// Timing of a candidate: the median of `graphs` graphs of `repeats` runs each, after one graph for
/// warm-up. `graphs` is 0 if a candidate is so slow that a single run is precise enough.
struct TimingPlan {
  int repeats = 20, graphs = 7;
  int runs() const { return repeats * (graphs + 1); }
};
inline constexpr double kCandidateMicroseconds = 20000.0;
/// Returns the plan for a candidate that takes `once` microseconds. Its runs take at most
/// kCandidateMicroseconds in all.
TimingPlan timing_plan(double once);
/// True if a candidate is too slow to need further timing. Both times are single runs from the
/// host, which take some microseconds more than in a graph.
bool is_hopeless(double once, double best_once);

/// Measurements by op description in a text file: one op per line; the first line of an op counts.
/// Several processes may use one file.
class TuningFile {
 public:
  /// Malformed and incomplete lines are ignored; with an empty path nothing is kept.
  explicit TuningFile(std::filesystem::path path);
  /// Returns the measurement for `key`, also if another process has added it since, or null.
  const Measurement* find(const std::string& key);
  /// Adds `measurement`, unless the file already contains one for `key`, and returns the first one.
  /// Processes that measure at the same time thus choose the same.
  const Measurement& add(const std::string& key, const Measurement& measurement);
  /// True if the last add() was written to the file (or was already in it).
  bool written() const { return written_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  void take_over(const std::string& text);

  std::filesystem::path path_;
  std::map<std::string, Measurement> measurements_;
  std::uintmax_t size_ = 0;  // of the file at the last reading
  bool written_ = false;
};

/// Returns the file's name, which contains GPU, driver, library and revision of the kernels,
/// because the choice depends on them.
std::string tuning_file_name(const std::string& gpu, int driver, const std::string& library,
                             const std::string& revision);

/// Returns an op's kind, shape, activation (or whether it accumulates), formats and alignment,
/// which determine its speed; empty for ops that are not products.
std::string tuning_key(const Op& op);

bool is_matrix_product(const Op& op);
bool is_convolution(const Op& op);

/// Returns the name of the implementation for each op of a program; empty for the kernel. A
/// backward product that reads a mask is chosen together with the forward product that writes it.
std::vector<std::string> choose(const Program& program,
                                const std::map<std::string, Measurement>& measurements);

}  // namespace elbo::cuda
