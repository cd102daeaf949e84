#include "torchscript/read/archive.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "ir/error.h"
#include "torchscript/read/archive_builder.h"

namespace lathe {
namespace {

Verdict archive_verdict(const std::string& bytes, bool trust = false) {
  try {
    check_torchscript_archive(as_bytes(bytes), "net.pt", trust);
    return {};
  } catch (const Error& error) {
    CHECK(error.text().where.starts_with("net.pt"));
    return {error.id(), static_cast<int>(error.code()), error.what()};
  }
}

std::string with(const std::function<void(std::vector<ZipMember>&)>& change,
                 const ZipLayout& layout = {}) {
  std::vector<ZipMember> members = ScriptFile().members();
  change(members);
  return zip_bytes(members, layout);
}

std::string with_data(const std::string& data) {
  ScriptFile file;
  file.data = data;
  return file.bytes();
}

std::string with_tensor(const PickledTensor& tensor) {
  return with_data(pickle_net({{"weight", pickle_tensor(tensor)}, {"training", "\x89"}}));
}

std::string with_methods(const std::string& methods, const std::string& rest = {}) {
  ScriptFile file;
  file.code += methods + rest;
  return file.bytes();
}

constexpr const char* kSetState =
    "  def __setstate__(self: __torch__.Net,\n"
    "    state: Tuple[Tensor, bool]) -> NoneType:\n"
    "    self.weight = (state)[0]\n"
    "    self.training = (state)[1]\n";

}  // namespace

TEST_CASE("an archive as torch.jit.save writes it is accepted") {
  CHECK(archive_verdict(ScriptFile().bytes()).id == "accepted");
  CHECK(archive_verdict(zip_bytes(ScriptFile().members(), {.zip64 = true})).id == "accepted");
}

TEST_CASE("T2: zip archives that readers understand differently are refused") {
  const auto id = [](const std::string& bytes) { return archive_verdict(bytes).id; };
  CHECK(id(with([](auto& m) { m[2].local_name = "net/data/1"; })) == "zip.headers_differ");
  CHECK(id(with([](auto& m) { m[2].local_size = 8; })) == "zip.headers_differ");
  CHECK(id(with([](auto& m) { m[2].local_crc = 1; })) == "zip.headers_differ");
  CHECK(id(with([](auto& m) { m[2].local_flags = 2; })) == "zip.headers_differ");
  CHECK(id(with([](auto& m) { m[3].offset = 0; })) == "zip.headers_differ");
  CHECK(id(with([](auto& m) { m[2].offset = 0xfffffff0; })) == "zip.headers_differ");
  CHECK(id(with([](auto& m) { m[2].flags = 1; })) == "zip.encrypted");
  CHECK(id(with([](auto& m) { m[2].method = 12; })) == "zip.method");
  CHECK(id(with([](auto& m) { m.push_back(m[2]); })) == "zip.duplicate");
  for (const char* name : {"net/../../x", "/net/x", "net//x", "net/./x", "C:/x", "net\\x", ".."})
    CHECK(id(with([&](auto& m) { m.push_back({name, "x"}); })) == "zip.name");
  CHECK(id(with([](auto&) {}, {.after = "more"})) == "zip.extra_bytes");
  CHECK(id(with([](auto&) {}, {.between = "xyz"})) == "zip.extra_bytes");
  CHECK(id(with([](auto&) {}, {.count = 4})) == "zip.headers_differ");
  CHECK(id(with([](auto&) {}, {.directory_offset = 3})) == "zip.headers_differ");
  CHECK(id(with([](auto&) {}, {.zip64 = true, .count64 = 1})) == "zip.headers_differ");
  CHECK(id(with([](auto&) {}, {.count = 0xffff, .zip64 = true, .count64 = uint64_t{1} << 60})) ==
        "zip.entries");
}

TEST_CASE("T2: an entry that lies inside another is refused") {
  std::vector<ZipMember> members = ScriptFile().members();
  // The last entry's bytes are a local header and contents of its own.
  const std::string inner = zip_bytes({{"net/inner", "abc"}});
  members.push_back({"net/outer", inner.substr(0, 30 + 9 + 3)});
  const std::string outer = zip_bytes(members);
  const size_t at = outer.find("net/outer") + 9;
  members.push_back({"net/inner", "abc"});
  members.back().offset = static_cast<uint32_t>(at);
  const Verdict found = archive_verdict(zip_bytes(members));
  CHECK(found.id == "zip.overlap");
  CHECK(found.code == 3);
}

TEST_CASE("T2: too many entries and too much expansion are over a limit") {
  std::vector<ZipMember> many;
  for (int i = 0; i < 10'001; ++i) many.push_back({"net/" + std::to_string(i), ""});
  CHECK(archive_verdict(zip_bytes(many)).id == "zip.entries");
  CHECK(archive_verdict(zip_bytes(many)).code == 8);
  const Verdict bomb = archive_verdict(with([](auto& m) {
    m.push_back({"net/data/9", std::string(32 << 20, 'a'), true});
  }));
  CHECK(bomb.id == "zip.ratio");
  CHECK(bomb.code == 8);
}

TEST_CASE("T1, T3: cut archives and flipped bits are refused") {
  const std::string good = ScriptFile().bytes();
  for (size_t size = 0; size < good.size(); ++size) {
    const Verdict found = archive_verdict(good.substr(0, size));
    CHECK(found.code == 3);
  }
  std::string flipped = good;
  const size_t at = flipped.find(ScriptFile().weight);
  REQUIRE(at != flipped.npos);
  flipped[at + 5] = static_cast<char>(flipped[at + 5] ^ 1);
  const Verdict found = archive_verdict(flipped);
  CHECK(found.id == "zip.crc");
  CHECK(found.text.find("net/data/0") != std::string::npos);
}

TEST_CASE("T4: what is no TorchScript is named") {
  const auto text = [](const std::string& bytes, const std::string& id) {
    const Verdict found = archive_verdict(bytes);
    CHECK(found.id == id);
    CHECK(found.code == 3);
    return found.text;
  };
  const auto says = [](const std::string& message, const char* part) {
    CHECK_MESSAGE(message.find(part) != message.npos, message);
  };
  const std::string dict =
      "\x80\x02"
      "ccollections\nOrderedDict\n)R.";
  says(text(zip_bytes({{"a/data.pkl", dict}, {"a/version", "3\n"}}), "torchscript.not_module"),
       "state dictionary");
  const std::string evil =
      "\x80\x02"
      "cos\nsystem\nX\2\0\0\0id\x85R.";
  says(text(zip_bytes({{"a/data.pkl", evil}, {"a/version", "3\n"}}), "torchscript.not_module"),
       "os.system");
  says(text(zip_bytes({{"a/data.pkl", dict}, {"a/bytecode.pkl", dict}, {"a/version", "3\n"}}),
            "torchscript.mobile"),
       "PyTorch Mobile");
  says(text(zip_bytes({{"a/archive_format", "pt2"}, {"a/models/model.json", "{}"}}),
            "torchscript.not_module"),
       "exported program");
  says(text(zip_bytes({{"serialized_exported_program.json", "{}"}, {"version", "1.0"}}),
            "torchscript.not_module"),
       "exported program");
  says(text(zip_bytes({{"a.npy", "x"}}), "torchscript.not_module"), "NumPy");
  says(text(zip_bytes({{"a/model.json", "{}"}}), "torchscript.old_format"), "before 1.4");
  says(text("\x80\x02\x8a\x0al", "torchscript.not_archive"), "pickle");
  says(text(std::string("\x08\x08\x12\x07pytorch", 11), "torchscript.not_archive"), "ONNX");
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  says(text(tar, "torchscript.not_archive"), "tar");
  text("", "torchscript.not_archive");
}

TEST_CASE("T8: newer files, other byte orders and delegates are refused") {
  ScriptFile file;
  file.version = "11\n";
  CHECK(archive_verdict(file.bytes()).id == "torchscript.version");
  file.version = "three";
  CHECK(archive_verdict(file.bytes()).id == "torchscript.version");
  file.version = "10\n";
  CHECK(archive_verdict(file.bytes()).id == "accepted");
  CHECK(archive_verdict(with([](auto& m) {
          m.push_back({"net/byteorder", "big"});
        })).id == "torchscript.byte_order");
  CHECK(archive_verdict(
            with_data(pickle_net({{"b", "c__torch__.torch.classes.__backends__\nqnn\n"}})))
            .id == "torchscript.delegate");
  CHECK(archive_verdict(
            with_data(pickle_net({{"b", "c__torch__.torch.classes.rnn\nCellParamsBase\n"}})))
            .id == "torchscript.class");
}

TEST_CASE("T4: names outside TorchScript are refused, whatever code the archive has") {
  for (const char* name : {"os\nsystem", "posix\nsystem", "builtins\neval", "torch\nload",
                           "torch._utils\n_rebuild_device_tensor_from_numpy", "__main__\nNet"}) {
    const Verdict found =
        archive_verdict(with_data(pickle_net({{"x", std::string("c") + name + "\n"}})));
    CHECK(found.id == "torchscript.global");
    CHECK(found.code == 3);
  }
  CHECK(archive_verdict(with_data(pickle_net({{"x", "ctorch._utils\n_rebuild_sparse_tensor\n"}})))
            .id == "torchscript.layout");
  CHECK(archive_verdict(with_data(pickle_net({{"x", "c__torch__.other\nThing\n"}}))).id ==
        "torchscript.pickle");
}

TEST_CASE("T1: damaged pickles and foreign opcodes are refused") {
  const std::string good = ScriptFile().data;
  for (size_t size = 0; size < good.size(); ++size)
    CHECK(archive_verdict(with_data(good.substr(0, size))).code == 3);
  for (const char* pickle : {"\x80\x02.", "\x80\x02K\1K\1.", "\x80\x02h\5.", "\x80\x02t.",
                             "\x80\x02K\1R.", "\x80\x02NNR.", "\x80\x02(q\1.",
                             "\x80\x02\x8a\x09"
                             "123456789.",
                             "\x80\x04K\1.", "\x80\x02K\1.x", "\x80\x02(S'a'\nios\nsystem\n.",
                             "\x80\x02X\xff\xff\xff\xff.", "\x80\x02K\1Q."})
    CHECK(archive_verdict(with_data(pickle)).id == "torchscript.pickle");
}

TEST_CASE("T7: tensors outside their storage are refused") {
  CHECK(archive_verdict(with_tensor({.size = 2, .stride = 2})).id == "accepted");
  CHECK(archive_verdict(with_tensor({.offset = 3, .size = 1})).id == "accepted");
  CHECK(archive_verdict(with_tensor({.size = 0})).id == "accepted");
  for (const PickledTensor& tensor : {PickledTensor{.storage = 5, .size = 5},
                                      {.storage = 0x7fffffff, .size = 1},
                                      {.storage = -1},
                                      {.offset = 1},
                                      {.offset = -1, .size = 1},
                                      {.size = 5},
                                      {.size = -1},
                                      {.stride = -1},
                                      {.stride = 0x7fffffff},
                                      {.key = "7"},
                                      {.type = "DoubleStorage"}}) {
    const Verdict found = archive_verdict(with_tensor(tensor));
    CHECK(found.id == "torchscript.storage");
    CHECK(found.code == 3);
  }
}

TEST_CASE("T5: code that runs while the file is loaded needs trust") {
  CHECK(archive_verdict(with_methods(kSetState)).id == "accepted");
  const auto refused = [](const std::string& methods, const char* reason) {
    const Verdict found = archive_verdict(with_methods(methods));
    CHECK(found.id == "torchscript.needs_trust");
    CHECK(found.code == 3);
    CHECK_MESSAGE(found.text.find(reason) != found.text.npos, found.text);
    CHECK(found.text.find("code/__torch__.py:") != found.text.npos);
    CHECK(archive_verdict(with_methods(methods), true).id == "accepted");
  };
  const std::string start = kSetState;
  refused(start + "    y = torch.zeros([1000000, 1000000])\n", "torch.zeros");
  refused(start + "    y = torch.from_file(\"x\", True, 4)\n", "torch.from_file");
  refused(start + "    ops.prim.unknown(1)\n", "prim.unknown");
  refused(start + "    while True:\n      pass\n", "while");
  refused(start + "    for i in range(9):\n      pass\n", "for");
  refused(start + "    y = (self.weight).save(\"x\")\n", "save");
  refused(start + "    y = (torch.zeros)([1])\n", "expression");
  refused(start + "    y = [torch.zeros][0]([1])\n", "expression");
  refused(start + "    y = 'a\n'\n", "plain");
  refused(start + "    y = \"\"\"a\"\"\"\n", "plain");
  refused(start +
              "    self.more()\n  def more(self: __torch__.Net) -> NoneType:\n"
              "    y = torch.zeros([1])\n",
          "more calls torch.zeros");
  // Subscripts call it without naming it.
  refused(start +
              "  def __getitem__(self: __torch__.Net, i: int) -> Tensor:\n"
              "    return torch.rand([1])\n",
          "__getitem__ calls torch.rand");
}

TEST_CASE("T5: packing quantized weights needs no trust") {
  CHECK(archive_verdict(with_methods(std::string(kSetState) +
                                     "    _0 = (self).pack((state)[0], )\n"
                                     "  def pack(self: __torch__.Net, w: Tensor) -> NoneType:\n"
                                     "    if torch.eq(1, 2):\n"
                                     "      _1 = ops.quantized.linear_prepack(w, None)\n"
                                     "    else:\n"
                                     "      ops.prim.RaiseException(\"no (type) for 'it'\")\n"
                                     "  def slow(self: __torch__.Net) -> NoneType:\n"
                                     "    y = torch.zeros([1])\n"))
            .id == "accepted");
}

TEST_CASE("Python's own files are read as they are meant") {
  const std::filesystem::path models = std::filesystem::path(LATHE_SHARED_DIR) / "models";
  int seen = 0;
  for (const char* name : {"hello_mobile_model.pt", "silero_vad_v5.jit", "unitree_g1_motion.pt"}) {
    std::ifstream file(models / name, std::ios::binary);
    if (!file) continue;
    ++seen;
    std::ostringstream text;
    text << file.rdbuf();
    CHECK(archive_verdict(text.str()).text == "");
  }
  if (seen == 0) MESSAGE("skipped: no ../shared/models");
}

}  // namespace lathe
