#include "kernels/dataflow.hpp"

#include <algorithm>

namespace elbo {
namespace {

std::vector<AccessList> access_lists(const Program& program) {
  std::vector<AccessList> lists;
  lists.reserve(program.size());
  for (const Op& op : program) lists.push_back(accesses_of(op));
  return lists;
}

}  // namespace

bool conflict(const AccessList& one, const AccessList& other) {
  for (const Access& a : one.items())
    for (const Access& b : other.items())
      if ((a.writes || b.writes) && a.overlaps(b)) return true;
  return false;
}

Dependencies dependencies(const Program& program) {
  const std::vector<AccessList> lists = access_lists(program);
  const size_t count = program.size();
  Dependencies result(count);
  std::vector<std::vector<bool>> follows(count,
                                         std::vector<bool>(count));  // directly or indirectly
  for (size_t op = 0; op < count; ++op)
    for (size_t earlier = op; earlier-- > 0;) {
      if (follows[op][earlier] || !conflict(lists[op], lists[earlier])) continue;
      result[op].push_back(static_cast<int>(earlier));
      follows[op][earlier] = true;
      for (size_t i = 0; i < earlier; ++i)
        if (follows[earlier][i]) follows[op][i] = true;
    }
  for (std::vector<int>& list : result) std::ranges::sort(list);
  return result;
}

std::vector<int> critical_path(const Dependencies& dependencies, const std::vector<double>& cost) {
  const size_t count = dependencies.size();
  std::vector<double> length(count);  // of the longest chain that ends at each op
  std::vector<int> previous(count, -1);
  int last = -1;
  for (size_t op = 0; op < count; ++op) {
    for (const int earlier : dependencies[op])
      if (previous[op] < 0 ||
          length[static_cast<size_t>(earlier)] > length[static_cast<size_t>(previous[op])])
        previous[op] = earlier;
    length[op] = cost[op] + (previous[op] < 0 ? 0.0 : length[static_cast<size_t>(previous[op])]);
    if (last < 0 || length[op] > length[static_cast<size_t>(last)]) last = static_cast<int>(op);
  }
  std::vector<int> path;
  for (int op = last; op >= 0; op = previous[static_cast<size_t>(op)]) path.push_back(op);
  std::ranges::reverse(path);
  return path;
}

std::vector<Access> carried_memory(const Program& program) {
  std::vector<Access> written, carried;
  for (const AccessList& list : access_lists(program)) {
    for (const Access& access : list.items()) {
      const auto overlaps = [&](const Access& other) { return access.overlaps(other); };
      if (!access.writes && std::ranges::none_of(written, overlaps)) carried.push_back(access);
    }
    for (const Access& access : list.items())
      if (access.writes) written.push_back(access);
  }
  std::erase_if(carried, [&](const Access& access) {
    return std::ranges::none_of(written,
                                [&](const Access& other) { return access.overlaps(other); });
  });
  // Layers read parts of the memory that the optimizer reads as a whole.
  std::ranges::sort(carried, {}, &Access::begin);
  std::vector<Access> joined;
  for (const Access& access : carried) {
    if (joined.empty() || access.begin >= joined.back().end)
      joined.push_back(access);
    else
      joined.back().end = std::max(joined.back().end, access.end);
  }
  for (Access& access : joined) access.bytes = static_cast<double>(access.end - access.begin);
  return joined;
}

}  // namespace elbo
