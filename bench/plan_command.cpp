#include "bench/plan_command.hpp"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "bench/gpu_models.hpp"
#include "bench/planning_device.hpp"
#include "host/measure/step_model.hpp"
#include "kernels/dataflow.hpp"

namespace elbo::bench {
namespace {

struct Node {
  std::string_view op;
  std::string shape;
  double bytes = 0.0;
  double gflop = 0.0;
  std::vector<int> waits_for;
  bool critical = false;
  // Lower bounds of the time: of the memory traffic (0 if it fits in the L2 cache), of the
  // arithmetic, and of the node: the longer of these two plus the edge that leads to the node.
  double traffic_us = 0.0, arithmetic_us = 0.0, floor_us = 0.0;
};

struct Plan {
  Precision precision;
  std::vector<Node> nodes;

  double sum(double Node::*time) const {
    return std::accumulate(nodes.begin(), nodes.end(), 0.0,
                           [&](double sum, const Node& node) { return sum + node.*time; });
  }
  double critical_us() const {
    return std::accumulate(nodes.begin(), nodes.end(), 0.0, [](double sum, const Node& node) {
      return sum + (node.critical ? node.floor_us : 0.0);
    });
  }
  /// Returns the lower bound if all independent nodes run concurrently. They still share the memory
  /// and the cores, so the sums over all nodes bound the time as well as the critical path does.
  double least_us() const {
    return std::max({critical_us(), sum(&Node::traffic_us), sum(&Node::arithmetic_us)});
  }
  int64_t critical_nodes() const {
    return std::ranges::count_if(nodes, [](const Node& node) { return node.critical; });
  }
};

void predict(Node& node, const GpuModel& gpu, Precision precision) {
  if (node.bytes > 1e6 * gpu.l2.value) node.traffic_us = 1e-6 * node.bytes / gpu.copy.value;
  node.arithmetic_us = 1e3 * node.gflop / gpu.product(precision).value;
  node.floor_us = gpu.edge.value + std::max(node.traffic_us, node.arithmetic_us);
}

Plan make_plan(const PlanCommand& command, const GpuModel& gpu) {
  const StepModel& step = step_model(command.model);
  const Config config = step_config(step, command.batch, precision_named(command.precision));
  config.check();
  // One batch of rows is enough: the program does not depend on their number and content.
  const int64_t values = element_count(step.sample_shape);
  const Dataset data =
      Dataset::from_rows(std::vector<uint8_t>(static_cast<size_t>(command.batch * values)),
                         step.sample_shape, {.validation_fraction = 0.0, .check_values = false});
  Model model(config, {data.sample_shape(), data.dtype()}, make_planning_device(DeviceKind::cuda),
              Model::Purpose::training);
  const TrainingPass pass(
      model, data.split("train"),
      {.plan = step_plan(config, data.split("train").size()), .optimizer = config});

  Plan plan = {model.precision(), {}};
  const Dependencies waits_for = dependencies(pass.program());
  std::vector<double> floors;
  for (const Op& op : pass.program()) {
    Node node = {.op = name_of(op),
                 .shape = sizes_of(op),
                 .bytes = bytes_of(op),
                 .gflop = 1e-9 * flops_of(op),
                 .waits_for = waits_for[plan.nodes.size()]};
    predict(node, gpu, plan.precision);
    floors.push_back(node.floor_us);
    plan.nodes.push_back(std::move(node));
  }
  for (const int node : critical_path(waits_for, floors))
    plan.nodes[static_cast<size_t>(node)].critical = true;
  return plan;
}

std::string fixed(double value, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

std::string numbers(const std::vector<int>& list) {
  std::string text;
  for (const int number : list) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text.empty() ? "-" : text;
}

struct NamedRate {
  const char* name;
  const char* unit;
  const Rate& rate;
};

/// Returns the rates that the prediction is based on.
std::vector<NamedRate> rates(const GpuModel& gpu, Precision precision) {
  return {{"copy", "TB/s", gpu.copy},
          {"l2", "MB", gpu.l2},
          {name_of(precision), "TFLOP/s", gpu.product(precision)},
          {"edge", "us", gpu.edge}};
}

std::string prediction(const Plan& plan, const GpuModel& gpu) {
  std::string unproven;
  for (const NamedRate& r : rates(gpu, plan.precision))
    if (r.rate.source == Source::lead)
      unproven += (unproven.empty() ? "" : ", ") + std::string(r.name);
  return "at least " + fixed(plan.least_us(), 1) + " us a step with branches side by side, " +
         fixed(plan.sum(&Node::floor_us), 1) + " us in one chain (leads: " + unproven + ")";
}

void print_text(const PlanCommand& command, const Plan& plan, const GpuModel& gpu) {
  std::cout << command.model << ", B = " << command.batch << ", " << name_of(plan.precision)
            << ", one training step on an " << gpu.name << " with ";
  for (const char* separator = ""; const NamedRate& r : rates(gpu, plan.precision)) {
    std::cout << separator << r.name << ' ' << r.rate.value << ' ' << r.unit << " ("
              << name_of(r.rate.source) << ')';
    separator = ", ";
  }
  std::cout << "\n\n";
  const auto line = [](const std::string& number, std::string_view op, const std::string& shape,
                       const std::string& bytes, const std::string& gflop, const std::string& floor,
                       std::string_view critical, const std::string& waits_for) {
    std::cout << std::right << std::setw(4) << number << "  " << std::left << std::setw(30) << op
              << std::setw(40) << shape << std::right << std::setw(12) << bytes << std::setw(10)
              << gflop << std::setw(10) << floor << "  " << std::left << std::setw(10) << critical
              << waits_for << '\n';
  };
  line("node", "op", "shape", "bytes", "GFLOP", "floor us", "critical", "waits for");
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = plan.nodes[i];
    line(std::to_string(i), node.op, node.shape, fixed(node.bytes, 0), fixed(node.gflop, 3),
         fixed(node.floor_us, 2), node.critical ? "yes" : "", numbers(node.waits_for));
  }
  std::cout << "\nnodes: " << plan.nodes.size()
            << "\nnodes on the critical path: " << plan.critical_nodes()
            << "\nsum of floors: " << fixed(plan.sum(&Node::floor_us), 1)
            << " us, on the critical path " << fixed(plan.critical_us(), 1) << " us, of traffic "
            << fixed(plan.sum(&Node::traffic_us), 1) << " us, of arithmetic "
            << fixed(plan.sum(&Node::arithmetic_us), 1)
            << " us\nprediction: " << prediction(plan, gpu) << '\n';
}

void print_json(const PlanCommand& command, const Plan& plan, const GpuModel& gpu) {
  nlohmann::ordered_json rate_list, nodes = nlohmann::ordered_json::array();
  for (const NamedRate& r : rates(gpu, plan.precision))
    rate_list[r.name] = {
        {"value", r.rate.value}, {"unit", r.unit}, {"source", name_of(r.rate.source)}};
  for (const Node& node : plan.nodes)
    nodes.push_back({{"node", nodes.size()},
                     {"op", node.op},
                     {"shape", node.shape},
                     {"bytes", node.bytes},
                     {"gflop", node.gflop},
                     {"waits_for", node.waits_for},
                     {"critical", node.critical},
                     {"traffic_us", node.traffic_us},
                     {"arithmetic_us", node.arithmetic_us},
                     {"floor_us", node.floor_us}});
  const nlohmann::ordered_json all = {{"model", command.model},
                                      {"batch", command.batch},
                                      {"precision", name_of(plan.precision)},
                                      {"gpu", gpu.name},
                                      {"rates", rate_list},
                                      {"nodes", nodes},
                                      {"node_count", plan.nodes.size()},
                                      {"critical_nodes", plan.critical_nodes()},
                                      {"floor_us", plan.sum(&Node::floor_us)},
                                      {"critical_us", plan.critical_us()},
                                      {"traffic_us", plan.sum(&Node::traffic_us)},
                                      {"arithmetic_us", plan.sum(&Node::arithmetic_us)},
                                      {"least_us", plan.least_us()},
                                      {"prediction", prediction(plan, gpu)}};
  std::cout << all.dump(1) << '\n';
}

}  // namespace

void run_plan_command(const PlanCommand& command) {
  const GpuModel& gpu = gpu_model(command.gpu);
  const Plan plan = make_plan(command, gpu);
  (command.json ? print_json : print_text)(command, plan, gpu);
}

}  // namespace elbo::bench
