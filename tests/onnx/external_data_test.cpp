#include <sys/stat.h>

#include "read_fixtures.h"

namespace lathe {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

// y = x + w, where w (2 floats) is external.
onnx::ModelProto external_model(const Entries& entries) {
  onnx::ModelProto model = empty_model();
  onnx::TensorProto& w = *model.mutable_graph()->add_initializer();
  w.set_name("w");
  w.set_data_type(1);
  w.add_dims(2);
  w.set_data_location(onnx::TensorProto::EXTERNAL);
  for (const auto& [key, value] : entries) {
    w.add_external_data()->set_key(key);
    w.mutable_external_data(w.external_data_size() - 1)->set_value(value);
  }
  add_node(*model.mutable_graph(), "Add", {"x", "w"}, {"y"});
  return model;
}

std::string float_bytes(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

float second(const Model& model) {
  return model.graph.constant(model.graph.find_value("w"))->values<float>()[1];
}

TEST_CASE("external data is read from beneath the model's directory") {
  const ScratchDirectory folder;
  folder.write("w.bin", float_bytes({9, 1, 2}));
  folder.write("sub/w.bin", float_bytes({3, 4}));
  const auto model = [&](const Entries& entries) {
    return read(external_model(entries), folder.path());
  };
  CHECK(second(model({{"location", "w.bin"}, {"offset", "4"}, {"length", "8"}})) == 2);
  CHECK(second(model({{"location", "w.bin"}, {"offset", "0"}})) == 1);
  CHECK(second(model({{"location", "sub/w.bin"}})) == 4);
  CHECK(second(model({{"location", "./sub//w.bin"}})) == 4);
  CHECK(second(model({{"location", "w.bin"}, {"__class__", "x"}})) == 1);
  // Unaligned data is copied.
  folder.write("odd.bin", "!" + float_bytes({5, 6}));
  CHECK(second(model({{"location", "odd.bin"}, {"offset", "1"}})) == 6);
}

TEST_CASE("external data never leaves the directory") {
  const ScratchDirectory folder;
  folder.write("secret.bin", float_bytes({1, 2}));
  folder.write("model/a/keep", "");
  const auto at = [&](const std::string& location) {
    return verdict_of(external_model({{"location", location}}), folder.path("model"));
  };
  for (const std::string location : {"../secret.bin", "a/../../secret.bin", "a/..", "", ".", "a/",
                                     "..\\secret.bin", "C:\\x", "C:x", "a\\b"}) {
    CAPTURE(location);
    CHECK(at(location) == "3 external_data.location");
  }
  CHECK(at(folder.path("secret.bin")) == "3 external_data.location");
  CHECK(at(std::string("a\0b", 3)) == "3 external_data.location");
  CHECK(at("%2e%2e/secret.bin") == "3 external_data.missing");
  CHECK(at("nothing.bin") == "3 external_data.missing");
  CHECK(at("a") == "3 file.not_regular");
  CHECK(verdict_of(external_model({{"location", "secret.bin"}})) == "3 external_data.no_directory");
}

TEST_CASE("links are refused unless asked for") {
  const ScratchDirectory folder;
  folder.write("outside.bin", float_bytes({1, 2}));
  folder.write("model/real.bin", float_bytes({1, 2}));
  const std::filesystem::path directory = folder.path("model");
  std::filesystem::create_symlink("../outside.bin", directory / "final.bin");
  std::filesystem::create_directory_symlink("..", directory / "parent");
  std::filesystem::create_symlink("loop.bin", directory / "loop.bin");
  std::filesystem::create_symlink("nowhere", directory / "dangling.bin");
  std::filesystem::create_hard_link(directory / "real.bin", directory / "hard.bin");
  ReadOptions follow;
  follow.follow_links = true;
  ReadOptions strict;
  strict.refuse_hard_links = true;
  const auto at = [&](const std::string& location, const ReadOptions& options) {
    return verdict_of(external_model({{"location", location}}), directory, options);
  };
  for (const std::string location :
       {"final.bin", "parent/outside.bin", "loop.bin", "dangling.bin"}) {
    CAPTURE(location);
    CHECK(at(location, {}) == "3 external_data.link");
  }
  CHECK(at("final.bin", follow).empty());
  CHECK(at("parent/outside.bin", follow).empty());
  CHECK(at("loop.bin", follow).starts_with("3 "));
  CHECK(at("../outside.bin", follow) == "3 external_data.location");
  CHECK(at("hard.bin", {}).empty());
  CHECK(at("hard.bin", strict) == "3 external_data.hard_link");
}

TEST_CASE("only regular files are external data, and never the model") {
  const ScratchDirectory folder;
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK(verdict_of(external_model({{"location", "pipe"}}), folder.path()) == "3 file.not_regular");
  CHECK(verdict_of(external_model({{"location", "zero"}}), "/dev") == "3 file.not_regular");
  const auto path =
      folder.write("m.onnx", external_model({{"location", "m.onnx"}}).SerializeAsString());
  CHECK(verdict([&] { load_onnx(path); }) == "3 external_data.model_itself");
}

TEST_CASE("offset, length and checksum are checked") {
  const ScratchDirectory folder;
  folder.write("w.bin", float_bytes({1, 2, 3}));
  const auto with = [&](const std::string& key, const std::string& value) {
    return verdict_of(external_model({{"location", "w.bin"}, {key, value}}), folder.path());
  };
  for (const std::string value : {"-1", "x", "", " 4", "4 ", "0x4", "+4", "4.0",
                                  "9223372036854775808", "99999999999999999999"}) {
    CAPTURE(value);
    CHECK(with("offset", value) == "3 external_data.bad_number");
    CHECK(with("length", value) == "3 external_data.bad_number");
  }
  CHECK(with("offset", "4").empty());
  CHECK(with("offset", "5") == "3 external_data.bounds");
  CHECK(with("offset", "9223372036854775807") == "3 external_data.bounds");
  CHECK(with("length", "7") == "3 external_data.length");
  CHECK(with("length", "12") == "3 external_data.length");
  CHECK(with("checksum", "abc") == "3 external_data.bad_checksum");
  CHECK(with("location", "w.bin") == "3 external_data.duplicate_key");
  onnx::ModelProto both = external_model({{"location", "w.bin"}});
  both.mutable_graph()->mutable_initializer(0)->set_raw_data("12345678");
  CHECK(verdict_of(both, folder.path()) == "3 tensor.two_values");
}

TEST_CASE("many tensors over one range map it once, unaligned ones are bounded") {
  const ScratchDirectory folder;
  const int64_t count = 1 << 20;
  folder.write("w.bin", std::string(static_cast<size_t>(4 * count + 1), '\0'));
  for (const std::string offset : {"0", "1"}) {
    onnx::ModelProto model = external_model({{"location", "w.bin"}, {"offset", offset}});
    model.mutable_graph()->mutable_initializer(0)->set_dims(0, count);
    for (int i = 0; i < 1000; ++i) {
      onnx::TensorProto copy = model.graph().initializer(0);
      copy.set_name("w" + std::to_string(i));
      *model.mutable_graph()->add_initializer() = copy;
    }
    CAPTURE(offset);
    CHECK(verdict_of(model, folder.path()) == (offset == "0" ? "" : "8 model.memory"));
  }
}

TEST_CASE("external data is checked wherever a tensor stands") {
  const ScratchDirectory folder;
  const onnx::TensorProto bad = external_model({{"location", "../w"}}).graph().initializer(0);
  onnx::ModelProto attribute = empty_model();
  *add_attribute(add_node(*attribute.mutable_graph(), "Constant", {}, {"y"}), "value",
                 onnx::AttributeProto::TENSOR)
       .mutable_t() = bad;
  CHECK(verdict_of(attribute, folder.path()) == "3 external_data.location");

  onnx::ModelProto sparse = empty_model();
  onnx::SparseTensorProto& tensor = *sparse.mutable_graph()->add_sparse_initializer();
  tensor.add_dims(4);
  *tensor.mutable_values() = bad;
  tensor.mutable_values()->set_name("y");
  CHECK(verdict_of(sparse, folder.path()) == "3 external_data.location");

  onnx::ModelProto branch = empty_model();
  auto& body = *add_attribute(add_node(*branch.mutable_graph(), "If", {"x"}, {"y"}), "then_branch",
                              onnx::AttributeProto::GRAPH)
                    .mutable_g();
  *body.add_initializer() = bad;
  CHECK(verdict_of(branch, folder.path()) == "3 external_data.location");
}

}  // namespace
}  // namespace lathe
