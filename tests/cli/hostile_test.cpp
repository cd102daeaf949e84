// Files that are no model, or one that was made to do harm: each is refused with its exit code and
// one line, without a signal, in bounded memory, and nothing is written.
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <string>

#include "gzip.h"
#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {
namespace {

// Inspects DIR/model.onnx after `prepare(DIR)`; checks the refusal and that nothing was written.
void refuse_model(const ScratchDirectory& folder, int code, std::vector<std::string> named = {}) {
  const std::string directory = folder.path();
  const auto before = listing(directory);
  named.push_back("model.onnx");
  const CliResult result = run_lathe({"inspect", directory + "/model.onnx"});
  check_refused(result, code, named);
  CHECK(result.peak_bytes < kBoundedBytes);
  CHECK(listing(directory) == before);
}

void refuse_bytes(const std::string& bytes, int code, std::vector<std::string> named = {}) {
  const ScratchDirectory folder;
  folder.write("model.onnx", bytes);
  refuse_model(folder, code, std::move(named));
}

void refuse_proto(const onnx::ModelProto& model, int code, std::vector<std::string> named = {}) {
  refuse_bytes(model.SerializeAsString(), code, std::move(named));
}

// y = x + w with the weights in a file of that name.
std::string external_model(const std::string& location) {
  onnx::ModelProto model = empty_model();
  add_node(*model.mutable_graph(), "Add", {"x", "w"}, {"y"});
  onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
  tensor.set_name("w");
  tensor.set_data_type(1);
  tensor.add_dims(2);
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  onnx::StringStringEntryProto& entry = *tensor.add_external_data();
  entry.set_key("location");
  entry.set_value(location);
  return model.SerializeAsString();
}

onnx::ModelProto weight_model(std::initializer_list<int64_t> dims, size_t raw_bytes) {
  onnx::ModelProto model = empty_model();
  add_node(*model.mutable_graph(), "Add", {"x", "w"}, {"y"});
  onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
  tensor.set_name("w");
  tensor.set_data_type(1);
  for (const int64_t dim : dims) tensor.add_dims(dim);
  tensor.set_raw_data(std::string(raw_bytes, '\0'));
  return model;
}

// A message field of the wire format.
std::string field(int number, const std::string& content) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (size_t size = content.size();; size >>= 7) {
    out += static_cast<char>((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
    if (size <= 0x7f) break;
  }
  return out + content;
}

std::string repeated(const std::string& part, size_t count) {
  std::string out;
  out.reserve(part.size() * count);
  for (size_t i = 0; i < count; ++i) out += part;
  return out;
}

}  // namespace

TEST_CASE("what is no model is named") {
  refuse_bytes("", 3, {"empty"});
  refuse_bytes("x", 3);
  refuse_bytes("This is a text, not a model.\n", 3, {"text"});
  const std::string model = relu_model().SerializeAsString();
  refuse_bytes(model.substr(0, model.size() / 2), 3);
  refuse_bytes(model.substr(0, model.size() - 1), 3);
  refuse_bytes(gzip(model), 3, {"gzip"});
  refuse_bytes(
      "\x7f"
      "ELF\x02\x01\x01" +
          std::string(64, '\0'),
      3, {"ELF"});
}

TEST_CASE("what is no file is refused at once") {
  {
    const ScratchDirectory folder;
    refuse_model(folder, 3);
  }
  {
    const ScratchDirectory folder;
    std::filesystem::create_directory(folder.path("model.onnx"));
    refuse_model(folder, 3, {"directory"});
  }
  {
    const ScratchDirectory folder;
    REQUIRE(mkfifo(folder.path("model.onnx").c_str(), 0600) == 0);
    refuse_model(folder, 3);
  }
  {
    const ScratchDirectory folder;
    std::filesystem::create_symlink("model.onnx", folder.path("model.onnx"));
    refuse_model(folder, 3);
  }
}

TEST_CASE("external data is read beneath the model's directory only") {
  const ScratchDirectory outside;
  const std::string secret = outside.write("secret.bin", "\x01\x02\x03\x04\x05\x06\x07\x08");
  const std::string name = std::filesystem::path(outside.path()).filename();
  for (const std::string& location :
       {"../" + name + "/secret.bin", "a/../../" + name + "/secret.bin", secret, std::string(".."),
        std::string("."), std::string(), std::string("no_such.bin")}) {
    CAPTURE(location);
    const ScratchDirectory folder;
    folder.write("model.onnx", external_model(location));
    refuse_model(folder, 3);
  }
  const ScratchDirectory folder;
  folder.write("model.onnx", external_model("link.bin"));
  std::filesystem::create_symlink(secret, folder.path("link.bin"));
  refuse_model(folder, 3, {"link.bin"});
  const CliResult followed = run_lathe({"inspect", folder.path("model.onnx"), "--follow-links"});
  INFO(followed.err);
  CHECK(followed.exit_code == 0);

  const ScratchDirectory short_file;
  short_file.write("model.onnx", external_model("w.bin"));
  short_file.write("w.bin", "1234");
  refuse_model(short_file, 3, {"w"});
}

TEST_CASE("tensors whose sizes lie are refused") {
  refuse_proto(weight_model({2}, 7), 3, {"w"});
  refuse_proto(weight_model({2}, 12), 3, {"w"});
  refuse_proto(weight_model({-1}, 4), 3, {"w"});
  const int64_t large = int64_t{1} << 32;
  refuse_proto(weight_model({large, large}, 4), 3, {"w"});
  refuse_proto(weight_model({(int64_t{1} << 62) + 1, 4}, 16), 3, {"w"});
  refuse_proto(weight_model({INT64_MAX}, 4), 8, {"w"});
  onnx::ModelProto model = weight_model({2}, 8);
  model.mutable_graph()->mutable_initializer(0)->set_data_type(999);
  refuse_proto(model, 3, {"w"});
}

TEST_CASE("graphs that are no graphs are refused") {
  onnx::ModelProto cycle = empty_model();
  add_node(*cycle.mutable_graph(), "Add", {"x", "b"}, {"a"});
  add_node(*cycle.mutable_graph(), "Relu", {"a"}, {"b"});
  add_node(*cycle.mutable_graph(), "Relu", {"a"}, {"y"});
  refuse_proto(cycle, 3, {"cycle"});

  onnx::ModelProto orphan = empty_model();
  add_node(*orphan.mutable_graph(), "Add", {"x", "nowhere"}, {"y"});
  refuse_proto(orphan, 3, {"nowhere"});

  onnx::ModelProto twice = relu_model();
  add_node(*twice.mutable_graph(), "Sigmoid", {"x"}, {"y"});
  refuse_proto(twice, 3, {"y"});

  onnx::ModelProto old = relu_model();
  old.mutable_opset_import(0)->set_version(999);
  refuse_proto(old, 3, {"999"});

  onnx::ModelProto arguments = empty_model();
  add_node(*arguments.mutable_graph(), "Conv", {"x"}, {"y"});
  refuse_proto(arguments, 3, {"Conv"});
}

TEST_CASE("recursive functions are refused") {
  onnx::ModelProto model = empty_model();
  model.add_opset_import()->set_domain("f");
  model.mutable_opset_import(1)->set_version(1);
  add_node(*model.mutable_graph(), "Again", {"x"}, {"y"}).set_domain("f");
  onnx::FunctionProto& function = *model.add_functions();
  function.set_name("Again");
  function.set_domain("f");
  function.add_input("a");
  function.add_output("b");
  for (const char* domain : {"", "f"}) {
    onnx::OperatorSetIdProto& opset = *function.add_opset_import();
    opset.set_domain(domain);
    opset.set_version(*domain == '\0' ? 17 : 1);
  }
  onnx::NodeProto& node = *function.add_node();
  node.set_op_type("Again");
  node.set_domain("f");
  node.add_input("a");
  node.add_output("b");
  refuse_proto(model, 3, {"Again"});
}

TEST_CASE("messages that grow when they are parsed are refused") {
  onnx::ModelProto model = empty_model();
  model.clear_graph();
  const std::string head = model.SerializeAsString();
  const size_t count = 5 << 20;
  // 10 MB of empty nodes and initializers; and of attributes of one node.
  for (const int number : {1, 5}) {
    CAPTURE(number);
    refuse_bytes(head + field(7, repeated(field(number, ""), count)), 8);
  }
  refuse_bytes(head + field(7, field(1, repeated(field(5, ""), count))), 8);

  // Value infos grow less and stay within the allowance.
  const ScratchDirectory folder;
  const CliResult infos = run_lathe(
      {"inspect", folder.write("v.onnx", head + field(7, repeated(field(13, ""), count)))});
  CHECK(infos.signal == 0);
  CHECK((infos.exit_code == 0 || infos.exit_code == 8));
  CHECK(infos.peak_bytes < kBoundedBytes);
}

TEST_CASE("nesting beyond the limit is refused") {
  onnx::GraphProto body;
  body.set_name("leaf");
  add_node(body, "Relu", {"x"}, {"leaf"});
  add_info(*body.add_output(), "leaf");
  for (int depth = 0; depth < 34; ++depth) {
    onnx::GraphProto outer;
    const std::string name = "if" + std::to_string(depth);
    outer.set_name(name);
    onnx::NodeProto& node = add_node(outer, "If", {"c"}, {name});
    for (const char* branch : {"then_branch", "else_branch"}) {
      onnx::AttributeProto& attribute = add_attribute(node, branch, onnx::AttributeProto::GRAPH);
      if (std::string_view(branch) == "then_branch")
        *attribute.mutable_g() = body;
      else {
        onnx::GraphProto& leaf = *attribute.mutable_g();
        leaf.set_name("other");
        add_node(leaf, "Relu", {"x"}, {name + "_other"});
        add_info(*leaf.add_output(), name + "_other");
      }
    }
    add_info(*outer.add_output(), name);
    body = std::move(outer);
  }
  onnx::ModelProto model = empty_model();
  *model.mutable_graph()->mutable_node() = body.node();
  add_initializer(*model.mutable_graph(), "c", {1}).set_data_type(9);
  model.mutable_graph()->mutable_initializer(0)->clear_float_data();
  model.mutable_graph()->mutable_initializer(0)->set_raw_data("\x01");
  model.mutable_graph()->mutable_output(0)->set_name("if33");
  refuse_proto(model, 8);
}

TEST_CASE("a limit of memory is kept") {
  onnx::ModelProto model = relu_model();
  onnx::TensorProto& large = *model.mutable_graph()->add_initializer();
  large.set_name("large");
  large.set_data_type(1);
  large.add_dims(16 << 20);
  large.set_raw_data(std::string(64 << 20, '\1'));
  const ScratchDirectory folder;
  const std::string path = folder.write("model.onnx", model.SerializeAsString());
  CHECK(run_lathe({"inspect", path, "--max-memory", "1GiB"}).exit_code == 0);
  const CliResult result = run_lathe({"inspect", path, "--max-memory", "32MiB"});
  check_refused(result, 8, {"memory"});
  // LibTorch would end the process by itself.
  check_refused(
      run_lathe({"run", path, "--data", "random", "-o", path + ".npz", "--max-memory", "200MiB"}),
      8, {"LibTorch", "200"});
  check_refused(run_lathe({"inspect", path, "--max-memory", "1MiB"}), 8, {"--max-memory"});
}

}  // namespace lathe
