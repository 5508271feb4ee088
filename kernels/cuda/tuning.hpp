// Which implementation of a product is the fastest on this GPU: measured when a program is
// prepared, against the kernel of product.cuh, whose result the others must agree with. What was
// measured is kept in a file, so that later programs, and later processes, choose alike: other
// implementations add in other orders, and two runs are to give the same bits.
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
  double kernel = 0.0;  // 0: not timed, since there is nothing else to choose
  std::string best = {};
  double best_time = 0.0;
  std::string masked = {};  // the best that writes or reads a mask, if any agrees
  double masked_time = std::numeric_limits<double>::infinity();
  std::string shortage = {};  // why candidates were left out that more free memory has; not kept

  /// Takes a library's product in, measured behind one of its own kind. In a program it costs more:
  /// a kernel of ours starts while the one before it ends, and nothing overlaps with a library's.
  /// It must beat the kernel by more than such times differ from run to run.
  void consider(const LibraryProduct& product, double time);
};

/// A library's product, or a pair of them, must take this fraction of the time of what it replaces.
inline constexpr double kLead = 0.95;

/// How a candidate is timed: the median of `graphs` graphs of `repeats` runs each, behind one more
/// graph that warms up. No graphs: a single run is as exact.
struct TimingPlan {
  int repeats = 20, graphs = 7;
  int runs() const { return repeats * (graphs + 1); }
};
inline constexpr double kCandidateMicroseconds = 20000.0;
/// For a candidate that takes `once` microseconds: it costs no more than kCandidateMicroseconds.
TimingPlan timing_plan(double once);
/// Whether a candidate need not be timed any further. Both times are of one run from the host,
/// which takes some microseconds more than in a graph.
bool is_hopeless(double once, double best_once);

/// Measurements by the ops' descriptions, kept in a text file: one op a line, of which the first
/// counts. Several processes may use one file.
class TuningFile {
 public:
  /// Lines that are not understood or not complete count as not there; an empty path keeps nothing.
  explicit TuningFile(std::filesystem::path path);
  /// Also what another process has added meanwhile; null if there is none.
  const Measurement* find(const std::string& key);
  /// Keeps `measurement`, unless another process was faster: returns the one that counts. Processes
  /// that measure at once so choose alike.
  const Measurement& add(const std::string& key, const Measurement& measurement);
  /// Whether the last add() could be written to the file (or was in it).
  bool written() const { return written_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  void take_over(const std::string& text);

  std::filesystem::path path_;
  std::map<std::string, Measurement> measurements_;
  std::uintmax_t size_ = 0;  // of the file when it was read last
  bool written_ = false;
};

/// The file's name: one for each GPU, driver, library and revision of this program's kernels, since
/// others would choose otherwise.
std::string tuning_file_name(const std::string& gpu, int driver, const std::string& library,
                             const std::string& revision);

/// An op's kind, shape, activation (or whether it adds to its result), formats and alignment, which
/// together decide how fast it is; empty for ops that are no products.
std::string tuning_key(const Op& op);

bool is_matrix_product(const Op& op);
bool is_convolution(const Op& op);

/// The implementation chosen for each op of a program: by name, empty for the kernel. A backward
/// product that reads a mask goes together with the forward product that writes it.
std::vector<std::string> choose(const Program& program,
                                const std::map<std::string, Measurement>& measurements);

}  // namespace elbo::cuda
