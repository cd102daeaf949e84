#include "torchscript/read/description_format.h"

#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "ir/error.h"

namespace lathe {
namespace {

TorchModule small_module() {
  TorchModule module;
  module.class_name = "__torch__.Net";
  module.other_methods = {"step"};
  module.was_training = true;
  TorchType object, tensor, list;
  object.kind = TorchType::Kind::kObject;
  tensor.kind = TorchType::Kind::kTensor;
  list.kind = TorchType::Kind::kList;
  list.contained = {tensor};
  module.values = {{"self", object}, {"x", tensor}, {"w", tensor}, {"c", tensor},
                   {"y", list},      {"i", tensor}, {"j", tensor}};
  module.forward.inputs = {0, 1};
  TorchConstant weight;
  weight.kind = TorchConstant::Kind::kTensor;
  weight.tensor = TorchTensor{Tensor::of<float>({2, 2}, {1, 2, 3, 4}), false, {}, {}, -1};
  TorchNode constant;
  constant.kind = "prim::Constant";
  constant.outputs = {2};
  constant.constant = weight;
  TorchNode again = constant;
  again.outputs = {3};
  TorchNode branch;
  branch.kind = "prim::If";
  branch.inputs = {1};
  branch.outputs = {4};
  TorchNode inner;
  inner.kind = "aten::add";
  inner.overload = "Tensor";
  inner.inputs = {1, 2};
  inner.outputs = {5};
  inner.source = "code/__torch__.py:3";
  branch.blocks = {{{}, {inner}, {5}}, {{}, {}, {2}}};
  module.forward.nodes = {constant, again, branch};
  module.forward.outputs = {4};
  TorchConstant packed;
  packed.kind = TorchConstant::Kind::kPacked;
  packed.packed.emplace();
  packed.packed->linear = true;
  packed.packed->weight =
      TorchTensor{Tensor::of<int8_t>({2, 3}, {1, 2, 3, 4, 5, 6}), true, {0.5, 0.25}, {0, 1}, 0};
  TorchConstant tuple;
  tuple.kind = TorchConstant::Kind::kTuple;
  TorchConstant number;
  number.kind = TorchConstant::Kind::kFloat;
  number.real = 1.5;
  tuple.items = {number, packed};
  module.attributes = {{"state.h", list, tuple}};
  return module;
}

std::shared_ptr<const std::string> message_of(const TorchModule& module) {
  auto out = std::make_shared<std::string>();
  write_description(module, [&](std::string_view bytes) { out->append(bytes); });
  return out;
}

std::string id_of(const std::string& message) {
  try {
    read_description(std::make_shared<const std::string>(message), "net.pt");
    return "accepted";
  } catch (const Error& error) {
    CHECK(static_cast<int>(error.code()) == 8);
    CHECK(error.text().where.starts_with("net.pt"));
    return error.id();
  }
}

}  // namespace

TEST_CASE("a description comes back as it was written") {
  const TorchModule module = small_module();
  const auto message = message_of(module);
  const TorchModule back = read_description(message, "net.pt");
  CHECK(back.class_name == module.class_name);
  CHECK(back.other_methods == module.other_methods);
  CHECK(back.was_training);
  REQUIRE(back.values.size() == 7);
  CHECK(back.values[4].type.contained.at(0).kind == TorchType::Kind::kTensor);
  const TorchNode& branch = back.forward.nodes.at(2);
  CHECK(branch.blocks.at(0).nodes.at(0).overload == "Tensor");
  CHECK(branch.blocks[0].nodes[0].source == "code/__torch__.py:3");
  const Tensor &first = back.forward.nodes[0].constant->tensor->tensor,
               &second = back.forward.nodes[1].constant->tensor->tensor;
  CHECK(first.identical(Tensor::of<float>({2, 2}, {1, 2, 3, 4})));
  // One storage: it is in the message once.
  CHECK(first.bytes().data() == second.bytes().data());
  const TorchConstant& value = back.attributes.at(0).value;
  CHECK(value.items.at(0).real == 1.5);
  CHECK(value.items.at(1).packed->weight.scales == std::vector<double>{0.5, 0.25});
  CHECK(*message_of(back) == *message);
}

TEST_CASE("an error of the child comes back as an error") {
  auto message = std::make_shared<std::string>();
  write_description_error(bad_input("torchscript.load", "it is \x1b[31mred", "line 3", "do this"),
                          [&](std::string_view bytes) { message->append(bytes); });
  try {
    read_description(message, "net.pt");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(static_cast<int>(error.code()) == 3);
    CHECK(error.id() == "torchscript.load");
    CHECK(error.text().where == "net.pt: line 3");
    CHECK(error.text().message == "it is \\x1b[31mred");
  }
  // The child does not choose other exits or ids.
  for (const Error& error : {Error(ExitCode::kDone, "torchscript.load", {"x", "", ""}),
                             bad_input("../x", "x"), bad_input("torchscript.\n", "x")}) {
    message = std::make_shared<std::string>();
    write_description_error(error, [&](std::string_view bytes) { message->append(bytes); });
    CHECK(id_of(*message) == "torchscript.child_message");
  }
}

TEST_CASE("F18: broken descriptions are refused") {
  const auto changed = [](const std::function<void(TorchModule&)>& change) {
    TorchModule module = small_module();
    change(module);
    return id_of(*message_of(module));
  };
  const std::string refused = "torchscript.child_message";
  CHECK(changed([](TorchModule&) {}) == "accepted");
  CHECK(changed([](TorchModule& m) { m.forward.outputs = {7}; }) == refused);
  CHECK(changed([](TorchModule& m) { m.forward.outputs = {-1}; }) == refused);
  CHECK(changed([](TorchModule& m) { m.forward.outputs = {6}; }) == refused);
  // What a block defines ends with it.
  CHECK(changed([](TorchModule& m) { m.forward.outputs = {5}; }) == refused);
  CHECK(changed([](TorchModule& m) { m.forward.nodes[1].outputs = {2}; }) == refused);
  CHECK(changed([](TorchModule& m) { m.forward.nodes[2].blocks.pop_back(); }) == refused);
  CHECK(changed([](TorchModule& m) { m.forward.nodes[2].blocks[0].outputs = {}; }) == refused);
  CHECK(changed([](TorchModule& m) { m.forward.nodes[0].constant.reset(); }) == refused);
  CHECK(changed([](TorchModule& m) { m.forward.inputs = {}; }) == refused);
  CHECK(changed([](TorchModule& m) { m.values[4].type.contained.clear(); }) == refused);
  CHECK(changed([](TorchModule& m) {
          m.attributes[0].value.items[1].packed->weight.scales = {1.0};
        }) == refused);
  CHECK(changed([](TorchModule& m) {
          for (int i = 0; i < 100; ++i) {
            TorchConstant outer;
            outer.kind = TorchConstant::Kind::kTuple;
            outer.items = {m.attributes[0].value};
            m.attributes[0].value = outer;
          }
        }) == refused);
}

TEST_CASE("F18: the reader survives damaged descriptions") {
  const std::string good = *message_of(small_module());
  for (size_t size = 0; size < good.size(); ++size)
    CHECK(id_of(good.substr(0, size)) == "torchscript.child_message");
  CHECK(id_of(good + "x") == "torchscript.child_message");
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (unsigned i = 0; i < 1 + random() % 4; ++i)
      bad[random() % bad.size()] = static_cast<char>(random() % 3 == 0 ? 0xff : random());
    try {
      read_description(std::make_shared<const std::string>(bad), "net.pt");
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 5'000);
}

}  // namespace lathe
