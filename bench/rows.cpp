#include "bench/row.hpp"

namespace elbo::bench {
namespace {

template <class List>
struct OpList;
template <class... Ops>
struct OpList<std::variant<Ops...>> {
  static void add_rows(Rows& rows) { (bench::add_rows<Ops>(rows), ...); }
};

}  // namespace

Rows all_rows() {
  Rows rows;
  OpList<Op>::add_rows(rows);
  add_step_rows(rows);
  return rows;
}

}  // namespace elbo::bench
