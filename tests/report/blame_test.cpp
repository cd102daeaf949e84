#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "report/headline.h"
#include "report/measures.h"

namespace lathe {

using nlohmann::json;

TEST_CASE("what got slower explains a missed gate, not what saves more") {
  json report;
  report["comparison"]["cases"] = json::array();
  json row{{"id", "single"}, {"op_deltas", json::array()}};
  row["op_deltas"] = {
      {{"name", "c1"}, {"type", "Conv"}, {"delta_ns", -900}, {"change", "kept"}},
      {{"name", "r1"}, {"type", "Relu"}, {"delta_ns", -10}, {"change", "fused"}, {"into", "c1"}},
      {{"name", "q<1>"}, {"type", "QuantizeLinear"}, {"delta_ns", 90}, {"change", "inserted"}}};
  report["comparison"]["cases"].push_back(row);
  CHECK(blame_of(report, "single") == "q<1> (QuantizeLinear) +90 ns");

  json& blame = report["comparison"]["cases"][0]["blame"];
  blame = {{{"sentence", "1 Conv takes 0.10x the time"}, {"delta_ns", -900}},
           {{"sentence", "1 inserted QuantizeLinear costs 9.0 %"}, {"delta_ns", 90}}};
  CHECK(blame_sentences(report["comparison"]["cases"][0]).size() == 2);
  CHECK(blame_of(report, "single") == "1 inserted QuantizeLinear costs 9.0 %");

  // Forms that nobody writes are no reason to fail.
  blame = {1, "text", {{"sentence", 5}}, nullptr};
  CHECK(blame_of(report, "single") == "q<1> (QuantizeLinear) +90 ns");
  blame = "text";
  CHECK(blame_sentences(report["comparison"]["cases"][0]).empty());
}

}  // namespace lathe
