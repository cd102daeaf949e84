#include <doctest/doctest.h>

#include "ir/carry.h"

namespace lathe {
namespace {

Model state_model() {
  Model model;
  const ValueId state =
      model.graph.add_input("state", tensor_type(DType::kFloat32, dims_of({1, 2})));
  const ValueId next = model.graph.add_op(OpKind::kRelu, {state}, "state_next");
  model.graph.set_outputs({next});
  set_carry(model, {{"state_next", "state"}});
  return model;
}

}  // namespace

TEST_CASE("carried state is read from what was written, and only where the graph has it") {
  Model model = state_model();
  CHECK(carry_of(model) == Carry{{"state_next", "state"}});
  model.metadata["lathe.carry.other"] = "state_next";
  model.metadata["lathe.carry.state"] = "nothing";
  CHECK(carry_of(model).empty());
}

TEST_CASE("a first state survives as text; what does not fit is passed over") {
  Model model = state_model();
  const Tensor first = Tensor::of<float>({1, 2}, {1.5F, -3});
  REQUIRE(set_initial_state(model, "state", first));
  const auto state = initial_state_of(model);
  REQUIRE(state.contains("state"));
  CHECK(state.at("state").to_double() == first.to_double());
  for (const char* text : {"float 1x3 000000000000000000000000", "float 1x2 00",
                           "float 1x2 00000000000000zz", "float 99999999999x2 00", "float 1x 0000",
                           "int64 1x2 0000", "", "float", "float 65536x65536x0x65536 "}) {
    INFO(text);
    model.metadata["lathe.initial.state"] = text;
    CHECK(initial_state_of(model).empty());
  }
  const Tensor large = Tensor::from_bytes(DType::kUInt8, {kMaxInitialBytes + 1},
                                          std::vector<std::byte>(kMaxInitialBytes + 1));
  CHECK_FALSE(set_initial_state(model, "state", large));
}

}  // namespace lathe
