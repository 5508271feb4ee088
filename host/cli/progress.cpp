#include "host/cli/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "host/io/formatted.hpp"

namespace elbo::cli {
namespace {

constexpr int kNarrow = 100;  // columns; narrower terminals get shorter words

int terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string short_count(double value) {
  if (value >= 1e6) return formatted("{:.2f}M", value / 1e6);
  return value >= 1e3 ? formatted("{:.1f}k", value / 1e3) : formatted("{:.0f}", value);
}

/// Uses four decimals for magnitudes below 10, otherwise two.
std::string short_number(double value) {
  return formatted("{:.{}f}", value, std::abs(value) < 10.0 ? 4 : 2);
}

/// Returns the most informative number of a validation: iwae, else elbo, reconstruction or
/// accuracy.
double chosen_by(const Evaluation& e) {
  if (!std::isnan(e.iwae.value)) return e.iwae.value;
  if (!std::isnan(e.elbo.value)) return e.elbo.value;
  return std::isnan(e.reconstruction.value) ? e.accuracy : e.reconstruction.value;
}

std::string short_time(double seconds) {
  const auto total = static_cast<long>(std::max(0.0, seconds) + 0.5);
  if (total >= 3600) return formatted("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return formatted("{}:{:02}", total / 60, total % 60);
}

std::string bar(double done, int width) {
  static const char* const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int filled = static_cast<int>(std::clamp(done, 0.0, 1.0) * width * 8);
  std::string text;
  for (int i = 0; i < width; ++i) {
    const int part = filled - 8 * i;
    text += part >= 8 ? "█" : part > 0 ? eighths[part] : "·";
  }
  return text;
}

void erase_line() { std::fputs("\r\033[K", stderr); }

/// Draws `numbers` and, if there is room, the bar before them.
void draw_line(double done, const std::string& numbers) {
  const int width = terminal_width();
  const int room = width - static_cast<int>(numbers.size()) - 1;
  const std::string drawn = room >= 4 ? bar(done, std::min(room, 30)) : "";
  std::fprintf(stderr, "\r%s%.*s\033[K", drawn.c_str(), std::max(10, width - 1), numbers.c_str());
  std::fflush(stderr);
}

}  // namespace

ProgressDisplay::ProgressDisplay(bool quiet)
    : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressDisplay::~ProgressDisplay() { clear_bar(); }

void ProgressDisplay::clear_bar() {
  if (bar_drawn_) erase_line();
  bar_drawn_ = false;
}

void ProgressDisplay::on_progress(const TrainingMetrics& m, uint64_t total_steps) {
  if (quiet_ || !terminal_) return;
  if (!started_) first_step_ = m.step > 0 ? m.step - 1 : 0;
  started_ = true;
  rate_ = rate_ == 0.0 ? m.samples_per_second : rate_ + 0.1 * (m.samples_per_second - rate_);
  if (m.seconds - last_drawn_ < 0.1 && m.step < total_steps) return;
  last_drawn_ = m.seconds;
  const double done = static_cast<double>(m.step) / static_cast<double>(total_steps);
  const double steps_left = static_cast<double>(total_steps - m.step);
  const double per_step = m.seconds / static_cast<double>(m.step - first_step_);
  const int width = terminal_width();
  std::string numbers = formatted(" {:>3.0f}%  epoch {}  {}/s  ETA {}", 100.0 * done, m.epoch,
                                  short_count(rate_), short_time(steps_left * per_step));
  for (const Metric& metric : m.values) {
    const std::string name =
        metric.name == "reconstruction" && width < kNarrow ? "rec" : metric.name;
    const std::string more = formatted("  {} {}", name, short_number(metric.value));
    if (static_cast<int>(numbers.size() + more.size()) < width) numbers += more;
  }
  draw_line(done, numbers);
  bar_drawn_ = true;
}

void ProgressDisplay::on_report(const TrainingReport& report, const Trainer&) {
  if (quiet_) return;
  clear_bar();
  const TrainingMetrics& m = report.training;
  const auto column = [](const std::string& name) {
    return std::max(10, static_cast<int>(name.size()));
  };
  if (!headed_) {
    std::printf("epoch     step");
    for (const Metric& metric : m.values)
      std::printf(" %*s", column(metric.name), metric.name.c_str());
    std::printf(" samples/s%s\n", report.validation ? " validation" : "");
  }
  headed_ = true;
  std::printf("%5llu %8llu", static_cast<unsigned long long>(m.epoch),
              static_cast<unsigned long long>(m.step));
  for (const Metric& metric : m.values)
    std::printf(" %*s", column(metric.name), short_number(metric.value).c_str());
  std::printf(" %9s", short_count(m.samples_per_second).c_str());
  if (report.validation)
    std::printf(" %10s%s", short_number(chosen_by(*report.validation)).c_str(),
                report.best ? " *" : "");
  std::printf("\n");
  std::fflush(stdout);
}

void ProgressDisplay::on_divergence(const Divergence& divergence) {
  clear_bar();
  if (divergence.learning_rate_factor)
    std::fprintf(
        stderr, "elbo: warning: %s; resuming from step %llu with %g of the learning rate\n",
        describe(divergence).c_str(), static_cast<unsigned long long>(divergence.good_step),
        *divergence.learning_rate_factor);
}

WorkDisplay::WorkDisplay(std::string unit, int64_t total, bool quiet)
    : unit_(std::move(unit)),
      total_(total),
      silent_(quiet || isatty(STDERR_FILENO) == 0),
      start_(std::chrono::steady_clock::now()),
      last_drawn_(start_) {}

WorkDisplay::~WorkDisplay() {
  if (bar_drawn_) erase_line();
}

void WorkDisplay::add(int64_t done) {
  done_ += done;
  if (silent_ || done_ == 0) return;
  const auto now = std::chrono::steady_clock::now();
  const auto seconds = [](auto duration) {
    return std::chrono::duration<double>(duration).count();
  };
  if (seconds(now - last_drawn_) < 0.1) return;
  last_drawn_ = now;
  const double part = static_cast<double>(done_) / static_cast<double>(total_);
  const double passed = seconds(now - start_);
  draw_line(part, formatted(" {:>3.0f}%  {} {}/s  ETA {}", 100.0 * part,
                            short_count(static_cast<double>(done_) / passed), unit_,
                            short_time(passed * (1.0 / part - 1.0))));
  bar_drawn_ = true;
}

void PackingDisplay::on_progress(int64_t done, int64_t total) {
  if (!bar_) {
    start_ = std::chrono::steady_clock::now();
    bar_.emplace("images", total, quiet_);
  }
  bar_->add(done - done_);
  done_ = done;
}

void PackingDisplay::on_opened(const PackedPictures& packed) {
  bar_.reset();
  if (quiet_) return;
  if (packed.just_packed) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    std::fprintf(stderr, "decoded %lld images, %s images/s, to %s\n",
                 static_cast<long long>(packed.pictures),
                 short_count(static_cast<double>(packed.pictures) / passed.count()).c_str(),
                 packed.entry.c_str());
  }
  constexpr size_t kNamed = 5;
  if (!packed.left_out.empty())
    std::fprintf(stderr, "elbo: warning: %zu of %lld pictures left out: %s\n",
                 packed.left_out.size(), static_cast<long long>(packed.pictures),
                 enumerate(packed.left_out, kNamed).c_str());
}

}  // namespace elbo::cli
