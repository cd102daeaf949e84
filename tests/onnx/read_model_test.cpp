#include "onnx/read_model.h"

#include <sys/stat.h>

#include <algorithm>

#include "onnx/newer_fields.h"
#include "onnx/text_form.h"
#include "read_fixtures.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

TEST_CASE("what is around the graph") {
  onnx::ModelProto proto = relu_model();
  proto.set_producer_name("p");
  proto.set_producer_version("1");
  proto.set_model_version(3);
  proto.set_doc_string("d");
  proto.add_metadata_props()->set_key("k");
  proto.mutable_metadata_props(0)->set_value("v");
  proto.add_opset_import()->set_domain("com.microsoft");
  proto.mutable_opset_import(1)->set_version(1);
  onnx::StringStringEntryProto note;
  note.set_key("origin");
  note.set_value("here");
  add_newer(*proto.mutable_graph()->mutable_node(0), kNodeMetadata, note.SerializeAsString());
  const Model model = read(proto);
  CHECK(model.ir_version == 8);
  CHECK(model.opset == 17);
  CHECK(model.other_opsets == std::map<std::string, int64_t>{{"com.microsoft", 1}});
  CHECK(model.producer_name == "p");
  CHECK(model.model_version == 3);
  CHECK(model.doc == "d");
  CHECK(model.metadata == std::map<std::string, std::string>{{"k", "v"}});
  CHECK(model.graph.node(model.graph.node_ids()[0]).metadata.at("origin") == "here");
}

TEST_CASE("IR versions and operator sets") {
  const auto with = [](auto edit) {
    onnx::ModelProto proto = relu_model();
    edit(proto);
    return verdict_of(proto);
  };
  for (const int64_t version : {int64_t{0}, int64_t{-1}, int64_t{1} << 40})
    CHECK(with([&](auto& p) { p.set_ir_version(version); }) == "3 model.ir_version");
  CHECK(with([](auto& p) { p.clear_ir_version(); }) == "3 model.ir_version");
  CHECK(with([](auto& p) { p.clear_opset_import(); }) == "3 model.no_opset");
  CHECK(with([](auto& p) {
          p.clear_opset_import();
          p.set_ir_version(2);
        }).empty());
  for (const int64_t version : {0, -1, 999})
    CHECK(with([&](auto& p) { p.mutable_opset_import(0)->set_version(version); }) ==
          "3 model.opset");
  CHECK(with([](auto& p) { p.clear_graph(); }) == "3 model.no_graph");
  CHECK(with([](auto& p) { p.mutable_graph()->Clear(); }).empty());  // no node, no value
}

TEST_CASE("of an operator set that is imported twice the last one counts, as in ONNX Runtime") {
  const auto with = [](const std::vector<std::pair<std::string, int64_t>>& imports) {
    onnx::ModelProto proto = relu_model();
    proto.clear_opset_import();
    for (const auto& [domain, version] : imports) {
      proto.add_opset_import()->set_domain(domain);
      proto.mutable_opset_import(proto.opset_import_size() - 1)->set_version(version);
    }
    return proto;
  };
  const Model lower = read(with({{"", 21}, {"", 18}}));
  CHECK(lower.opset == 18);
  REQUIRE(lower.notes.size() == 1);
  CHECK(lower.notes[0].find("ai.onnx") != std::string::npos);
  CHECK(lower.notes[0].find("18") != std::string::npos);
  const Model higher = read(with({{"", 18}, {"ai.onnx", 21}, {"m", 2}, {"m", 1}}));
  CHECK(higher.opset == 21);
  CHECK(higher.other_opsets == std::map<std::string, int64_t>{{"m", 1}});
  CHECK(higher.notes.size() == 1);
  CHECK(read(with({{"", 18}, {"m", 1}})).notes.empty());
  CHECK(verdict_of(with({{"", 999}, {"", 18}})) == "3 model.opset");
  CHECK(verdict_of(with({{"", 18}, {"", 999}})) == "3 model.opset");
}

TEST_CASE("the meaning of an op is that of the opset that counts") {
  // Softmax normalised all axes from the first on before opset 13, and the last one since.
  for (const auto& [first, last] : {std::pair(13, 11), std::pair(11, 13)}) {
    CAPTURE(last);
    onnx::ModelProto proto = relu_model();
    onnx::GraphProto& graph = *proto.mutable_graph();
    graph.mutable_node(0)->set_op_type("Softmax");
    for (onnx::ValueInfoProto* info : {graph.mutable_input(0), graph.mutable_output(0)})
      for (const int64_t size : {3, 4})
        info->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(
            size);
    proto.mutable_opset_import(0)->set_version(first);
    proto.add_opset_import()->set_version(last);
    onnx::ModelProto only = proto;
    only.mutable_opset_import()->DeleteSubrange(0, 1);
    CHECK(text_form(read(proto).graph) == text_form(read(only).graph));
    only.mutable_opset_import(0)->set_version(first);
    CHECK(text_form(read(proto).graph) != text_form(read(only).graph));
  }
}

TEST_CASE("what the file is instead is named") {
  const auto text_of = [](const std::string& bytes) {
    try {
      read_text(bytes);
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kBadInput);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(text_of("").find("empty") != std::string::npos);
  CHECK(text_of("x").find("text") != std::string::npos);
  CHECK(text_of("hello, this is no model\n").find("text") != std::string::npos);
  CHECK(text_of("\x7f"
                "ELF\x02\x01\x01")
            .find("ELF") != std::string::npos);
  CHECK(text_of("\xff\xd8\xff\xe0").find("JPEG") != std::string::npos);
  CHECK(text_of("\x1f\x8b\x08").find("gzip") != std::string::npos);
  CHECK(text_of(std::string("PK\x03\x04\0\0", 6) + "net/data.pkl").find("TorchScript") !=
        std::string::npos);
  CHECK(text_of("version https://git-lfs.github.com/spec/v1\n").find("Git LFS") !=
        std::string::npos);
}

TEST_CASE("only regular files are opened, at once") {
  const ScratchDirectory folder;
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  fs::create_symlink("loop", folder.path("loop"));
  const auto at = [](const fs::path& path) { return verdict([&] { load_onnx(path); }); };
  CHECK(at(folder.path()) == "3 file.not_regular");
  CHECK(at(folder.path("pipe")) == "3 file.not_regular");
  CHECK(at("/dev/zero") == "3 file.not_regular");
  CHECK(at(folder.path("loop")) == "3 file.unreadable");
  CHECK(at(folder.path("none")) == "3 file.missing");
  CHECK(at(folder.write("empty", "")) == "3 model.empty");
  CHECK(at(folder.write("ok.onnx", relu_model().SerializeAsString())).empty());
}

TEST_CASE("files of 2 GiB are refused unread") {
  const ScratchDirectory folder;
  for (const uint64_t size : {uint64_t{1} << 31, uint64_t{5} << 30}) {
    const fs::path path = folder.write("big.onnx", "");
    fs::resize_file(path, size);
    CHECK(verdict([&] { load_onnx(path); }) == "8 model.too_large");
  }
  const fs::path path = folder.write("big.onnx", "");
  fs::resize_file(path, (uint64_t{1} << 31) - 1);
  CHECK(verdict([&] { load_onnx(path); }).starts_with("3 "));
}

TEST_CASE("every truncation and many damages end in an Error") {
  onnx::ModelProto proto = relu_model();
  add_initializer(*proto.mutable_graph(), "w", {1, 2, 3});
  add_attribute(add_node(*proto.mutable_graph(), "Concat", {"w", "w"}, {"z"}), "axis",
                onnx::AttributeProto::INT)
      .set_i(0);
  const std::string bytes = proto.SerializeAsString();
  for (size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    // Fields that stand behind the graph are missed too: opset_import is one of them.
    CHECK(verdict([&] { read_text(bytes.substr(0, size)); }).starts_with("3 "));
  }
  uint32_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = bytes;
    for (int j = 0; j < 3; ++j) {
      state = state * 1664525 + 1013904223;
      damaged[(state >> 8) % damaged.size()] = static_cast<char>(state >> 24);
    }
    verdict([&] { read_text(damaged); });  // any other exception fails the test
  }
}

TEST_CASE("a long chain of nodes and a hundred thousand initializers") {
  onnx::ModelProto proto = empty_model();
  constexpr int kNodes = 200'000;
  for (int i = 0; i < kNodes; ++i)
    add_node(*proto.mutable_graph(), "Relu", {i == 0 ? "x" : "v" + std::to_string(i - 1)},
             {i == kNodes - 1 ? "y" : "v" + std::to_string(i)});
  for (int i = 0; i < 100'000; ++i)
    add_initializer(*proto.mutable_graph(), "w" + std::to_string(i), {1});
  CHECK(read(proto).graph.node_count() == kNodes);
}

std::vector<fs::path> models_beneath(const fs::path& directory) {
  std::vector<fs::path> found;
  if (fs::exists(directory))
    for (const auto& entry : fs::recursive_directory_iterator(directory))
      if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

TEST_CASE("every model of libonnx-testdata loads") {
  const auto models = models_beneath("/usr/share/libonnx-testdata/data");
  if (models.empty()) {
    MESSAGE("skipped: libonnx-testdata is not installed");
    return;
  }
  CHECK(models.size() >= 1072);  // those of 1.12
  for (const fs::path& path : models) {
    CAPTURE(path.string());
    CHECK(verdict([&] { load_onnx(path); }) == "");
  }
}

TEST_CASE("the real models load, the one without data is refused") {
  const auto models = models_beneath(fs::path(LATHE_SHARED_DIR) / "models");
  if (models.empty()) {
    MESSAGE("skipped: no shared models beside the checkout");
    return;
  }
  for (const fs::path& path : models) {
    CAPTURE(path.string());
    const bool missing = path.filename() == "mobilenet_v2_fp32_missing_data.onnx";
    CHECK(verdict([&] { load_onnx(path); }) == (missing ? "3 external_data.missing" : ""));
  }
}

}  // namespace
}  // namespace lathe
