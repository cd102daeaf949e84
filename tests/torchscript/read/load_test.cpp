#include "torchscript/read/load_torchscript.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>

#include "ir/error.h"
#include "scratch_directory.h"
#include "torchscript/read/archive_builder.h"

namespace lathe {
namespace {

LoadTorchScriptOptions quick() {
  LoadTorchScriptOptions options;
  options.program = LATHE_BINARY;
  options.cpu_seconds = 10;
  return options;
}

TorchModule load(const std::string& bytes, const LoadTorchScriptOptions& options = quick()) {
  const ScratchDirectory scratch;
  scratch.write("net.pt", bytes);
  return load_torchscript(scratch.path("net.pt"), options);
}

Verdict load_verdict(const std::string& bytes, const LoadTorchScriptOptions& options = quick()) {
  try {
    load(bytes, options);
    return {};
  } catch (const Error& error) {
    return {error.id(), static_cast<int>(error.code()), error.what()};
  }
}

void visit(const TorchBlock& block, const std::function<void(const TorchNode&)>& see) {
  for (const TorchNode& node : block.nodes) {
    see(node);
    for (const TorchBlock& inner : node.blocks) visit(inner, see);
  }
}

std::multiset<std::string> kinds_of(const TorchModule& module) {
  std::multiset<std::string> out;
  visit(module.forward, [&](const TorchNode& node) { out.insert(node.kind); });
  return out;
}

ScriptFile with_state(const std::string& body) {
  ScriptFile file;
  file.code +=
      "  def __getstate__(self: __torch__.Net) -> Tuple[Tensor, bool]:\n"
      "    return (self.weight, self.training)\n"
      "  def __setstate__(self: __torch__.Net,\n"
      "    state: Tuple[Tensor, bool]) -> NoneType:\n"
      "    self.training = (state)[1]\n"
      "    weight = (state)[0]\n" +
      body + "    self.weight = weight\n    return None\n";
  file.data =
      "\x80\x02"
      "c__torch__\nNet\n)\x81" +
      pickle_tensor({}) +
      "\x89\x86"
      "b.";
  return file;
}

std::filesystem::path shared_model(const char* name) {
  return std::filesystem::path(LATHE_SHARED_DIR) / "models" / name;
}

}  // namespace

TEST_CASE("a module comes back described, frozen and inlined") {
  const TorchModule module = load(ScriptFile().bytes());
  CHECK(module.class_name == "__torch__.Net");
  CHECK(module.other_methods.empty());
  CHECK(module.attributes.empty());
  REQUIRE(module.forward.inputs.size() == 2);
  CHECK(module.values[static_cast<size_t>(module.forward.inputs[1])].name.starts_with("x"));
  REQUIRE(module.forward.nodes.size() == 2);
  const TorchNode &weight = module.forward.nodes[0], &mul = module.forward.nodes[1];
  CHECK(weight.kind == "prim::Constant");
  CHECK(weight.constant->tensor->tensor.identical(Tensor::of<float>({4}, {1, 2, 3, 4})));
  CHECK(mul.kind == "aten::mul");
  CHECK(mul.overload == "Tensor");
  CHECK(mul.source == "code/__torch__.py:9");
  CHECK(mul.inputs == std::vector<TorchValueId>{module.forward.inputs[1], weight.outputs[0]});
  CHECK(module.forward.outputs == mul.outputs);
}

TEST_CASE("what the code writes stays an attribute") {
  ScriptFile file;
  file.code =
      "class Net(Module):\n"
      "  __parameters__ = []\n"
      "  __buffers__ = [\"weight\", ]\n"
      "  weight : Tensor\n"
      "  training : bool\n"
      "  def forward(self: __torch__.Net,\n"
      "    x: Tensor) -> Tensor:\n"
      "    y = torch.add(self.weight, x)\n"
      "    self.weight = y\n"
      "    return y\n"
      "  def reset(self: __torch__.Net) -> NoneType:\n"
      "    return None\n";
  const TorchModule module = load(file.bytes());
  REQUIRE(module.attributes.size() >= 1);
  CHECK(module.attributes[0].path == "weight");
  CHECK(module.attributes[0].value.tensor->tensor.numel() == 4);
  CHECK(kinds_of(module).count("prim::GetAttr") == 1);
  CHECK(kinds_of(module).count("prim::SetAttr") == 1);
}

TEST_CASE("packed weights are unpacked, and packing them needs no trust") {
  struct Found {
    std::vector<TorchPackedParams> packed;
    std::multiset<std::string> kinds;
  };
  const auto read = [](const char* name) {
    const TorchModule module = load_torchscript(
        std::filesystem::path(LATHE_SOURCE_DIR) / "tests/torchscript/fixtures" / name, quick());
    Found found{{}, kinds_of(module)};
    visit(module.forward, [&](const TorchNode& node) {
      if (node.constant && node.constant->packed) found.packed.push_back(*node.constant->packed);
    });
    return found;
  };
  const Found scripted = read("quantized_scripted.pt");
  CHECK(scripted.kinds.count("quantized::conv2d") == 1);
  CHECK(scripted.kinds.count("quantized::linear") == 1);
  const Found traced = read("quantized_channels.pt");
  const Found dynamic = read("quantized_dynamic.pt");
  CHECK(dynamic.kinds.count("quantized::linear_dynamic") == 1);
  REQUIRE(scripted.packed.size() == 2);
  REQUIRE(traced.packed.size() == 2);
  REQUIRE(dynamic.packed.size() == 1);
  for (const Found* found : {&scripted, &traced}) {
    const bool linear_first = found->packed[0].linear;
    const TorchPackedParams &linear = found->packed[linear_first ? 0 : 1],
                            &conv = found->packed[linear_first ? 1 : 0];
    CHECK(linear.linear);
    CHECK(!linear.dynamic);
    CHECK(linear.weight.tensor.shape() == Shape{3, 8});
    CHECK(linear.bias->tensor.numel() == 3);
    CHECK(conv.weight.tensor.dtype() == DType::kInt8);
    CHECK(conv.weight.tensor.shape() == Shape{2, 1, 3, 3});
    CHECK(conv.stride == std::vector<int64_t>{2, 2});
    CHECK(conv.padding == std::vector<int64_t>{1, 1});
    CHECK(conv.dilation == std::vector<int64_t>{1, 1});
    CHECK(conv.groups == 1);
    const bool channels = found == &traced;
    CHECK(conv.weight.axis == (channels ? 0 : -1));
    CHECK(conv.weight.scales.size() == (channels ? 2 : 1));
    CHECK(conv.weight.zero_points == std::vector<int64_t>(channels ? 2 : 1, 0));
    // Integers times scale are weights drawn from (-1/3, 1/3), used to the last step.
    int64_t largest = 0;
    for (const int64_t value : conv.weight.tensor.to_int64())
      largest = std::max(largest, std::abs(value));
    CHECK(largest >= 126);
    CHECK(static_cast<double>(largest) * conv.weight.scales[0] < 0.34);
  }
  CHECK(dynamic.packed[0].dynamic);
  CHECK(dynamic.packed[0].weight.tensor.shape() == Shape{3, 4});
}

TEST_CASE("real files: a detector, a policy with state, a voice detector with branches") {
  if (!std::filesystem::exists(shared_model("hello_mobile_model.pt"))) {
    MESSAGE("skipped: no ../shared/models");
    return;
  }
  const TorchModule detector = load_torchscript(shared_model("hello_mobile_model.pt"), quick());
  const auto ops = kinds_of(detector);
  CHECK(ops.count("aten::conv2d") + ops.count("aten::_convolution") > 20);
  CHECK(detector.attributes.empty());
  const TorchModule policy = load_torchscript(shared_model("unitree_g1_motion.pt"), quick());
  std::set<std::string> state;
  for (const TorchAttribute& attribute : policy.attributes) state.insert(attribute.path);
  CHECK(state == std::set<std::string>{"hidden_state", "cell_state"});
  CHECK(kinds_of(policy).count("aten::lstm") == 1);
  const TorchModule voice = load_torchscript(shared_model("silero_vad_v5.jit"), quick());
  CHECK(kinds_of(voice).count("prim::If") > 5);
  int without_source = 0, nodes = 0;
  visit(voice.forward, [&](const TorchNode& node) {
    if (!node.kind.starts_with("aten::")) return;
    ++nodes;
    without_source += node.source.starts_with("code/") ? 0 : 1;
  });
  CHECK(nodes > 100);
  CHECK(without_source < nodes / 10);
}

TEST_CASE("T5: trusted code that does too much is stopped by the child's limits") {
  LoadTorchScriptOptions trusting = quick();
  trusting.trust = true;
  trusting.cpu_seconds = 2;
  CHECK(load_verdict(with_state("").bytes()).text == "");
  const std::string loop =
      with_state("    i = 0\n    _0 = True\n    while _0:\n      i = torch.add(i, 1)\n").bytes();
  CHECK(load_verdict(loop).id == "torchscript.needs_trust");
  const Verdict stopped = load_verdict(loop, trusting);
  CHECK(stopped.id == "torchscript.stopped");
  CHECK(stopped.code == 8);
  const std::string large = with_state("    weight = torch.ones([1000000, 1000000])\n").bytes();
  CHECK(load_verdict(large).id == "torchscript.needs_trust");
  const Verdict refused = load_verdict(large, trusting);
  CHECK_MESSAGE(refused.id == "torchscript.memory", refused.text);
  CHECK(refused.code == 8);

  const ScratchDirectory scratch;
  const std::string file = scratch.path("made");
  const std::string writes =
      with_state("    weight = torch.from_file(\"" + file + "\", True, 4)\n").bytes();
  CHECK(load_verdict(writes).id == "torchscript.needs_trust");
  const Verdict blocked = load_verdict(writes, trusting);
  CHECK_MESSAGE(blocked.code == 3, blocked.text);
  CHECK(!std::filesystem::exists(file));
}

TEST_CASE("T6: forward is described, not run") {
  ScriptFile file;
  file.code =
      "class Net(Module):\n"
      "  __parameters__ = []\n"
      "  __buffers__ = []\n"
      "  weight : Tensor\n"
      "  training : bool\n"
      "  def forward(self: __torch__.Net,\n"
      "    x: Tensor) -> Tensor:\n"
      "    _0 = True\n"
      "    while _0:\n"
      "      print(\"flood\")\n"
      "    return x\n";
  const TorchModule module = load(file.bytes());
  CHECK(kinds_of(module).count("prim::Loop") >= 1);
}

TEST_CASE("T8: modules without a usable forward are refused by name") {
  ScriptFile file;
  const auto replace = [&](const std::string& from, const std::string& to) {
    file = ScriptFile();
    file.code.replace(file.code.find(from), from.size(), to);
    return load_verdict(file.bytes());
  };
  const Verdict missing = replace("def forward", "def step");
  CHECK(missing.id == "torchscript.no_forward");
  CHECK(missing.code == 3);
  CHECK(missing.text.find("step") != missing.text.npos);
  const Verdict overloaded = replace("def forward", "def forward__0");
  CHECK(overloaded.id == "torchscript.no_forward");
  CHECK(overloaded.text.find("overloads") != overloaded.text.npos);
  const Verdict string = replace("    x: Tensor) -> Tensor:", "    x: Tensor, k: str) -> Tensor:");
  CHECK(string.id == "torchscript.input");
  CHECK(string.text.find("a string") != string.text.npos);
  const Verdict unknown = replace("torch.mul(x, weight)", "torch.no_such_op(x)");
  CHECK(unknown.id == "torchscript.load");
  CHECK_MESSAGE(unknown.text.find("no_such_op") != unknown.text.npos, unknown.text);
}

TEST_CASE("F18: a child that lies, dies, hangs or floods") {
  const ScratchDirectory scratch;
  const auto child = [&](const std::string& script) {
    scratch.write("child", "#!/bin/sh\n" + script);
    ::chmod(scratch.path("child").c_str(), 0700);
    LoadTorchScriptOptions options = quick();
    options.program = scratch.path("child");
    return load_verdict(ScriptFile().bytes(), options);
  };
  CHECK(child("echo garbage").id == "torchscript.child_message");
  CHECK(child("echo garbage").code == 8);
  CHECK(child("exit 0").id == "torchscript.child");
  CHECK(child("exit 0").code == 6);
  CHECK(child("kill -11 $$").id == "torchscript.crash");
  CHECK(child("kill -11 $$").code == 3);
  CHECK(child("kill -9 $$").code == 8);
  CHECK(child("head -c 400000000 /dev/zero").id == "torchscript.stopped");
  LoadTorchScriptOptions options = quick();
  options.program = scratch.path("none");
  CHECK(load_verdict(ScriptFile().bytes(), options).id == "child.start");
}

TEST_CASE("only regular files are opened") {
  const ScratchDirectory scratch;
  CHECK_THROWS_AS(load_torchscript(scratch.path(), quick()), Error);
  CHECK_THROWS_AS(load_torchscript(scratch.path("none"), quick()), Error);
  CHECK_THROWS_AS(load_torchscript("/dev/zero", quick()), Error);
  scratch.write("net.pt", ScriptFile().bytes());
  CHECK(is_torchscript_file(scratch.path("net.pt")));
  scratch.write("net.onnx", "\x08\x08");
  CHECK(!is_torchscript_file(scratch.path("net.onnx")));
}

}  // namespace lathe
