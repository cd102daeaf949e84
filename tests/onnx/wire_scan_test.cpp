#include "onnx/wire_scan.h"

#include "read_fixtures.h"

namespace lathe {
namespace {

WireCounts scan(const std::string& bytes, const ReadOptions& options = {}) {
  return scan_wire(std::as_bytes(std::span(bytes)), options);
}

std::string scan_verdict(const std::string& bytes) {
  return verdict([&] { scan(bytes); });
}

std::string repeated(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

std::string field(int number, const std::string& bytes) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}

TEST_CASE("scan_wire counts messages and depth") {
  onnx::ModelProto model = relu_model();
  add_initializer(*model.mutable_graph(), "w", {1, 2});
  auto& branch = add_attribute(add_node(*model.mutable_graph(), "If", {"x"}, {"z"}), "then_branch",
                               onnx::AttributeProto::GRAPH);
  add_node(*branch.mutable_g(), "Relu", {"x"}, {"q"});
  const WireCounts counts = scan(model.SerializeAsString());
  CHECK(counts.nodes == 3);
  CHECK(counts.tensors == 1);
  CHECK(counts.attributes == 1);
  CHECK(counts.graph_depth == 1);
  CHECK(counts.parsed_bytes > static_cast<int64_t>(model.ByteSizeLong()));
}

TEST_CASE("scan_wire refuses malformed wire bytes with their offset") {
  CHECK(scan_verdict(std::string("\x08") + repeated("\xff", 10) + "\x01") == "3 model.malformed");
  CHECK(scan_verdict("\x08") == "3 model.malformed");
  CHECK(scan_verdict(std::string("\x3a\x7f", 2)) == "3 model.truncated");
  CHECK(scan_verdict("\x0e\x01") == "3 model.malformed");                  // wire type 6
  CHECK(scan_verdict("\x0f\x01") == "3 model.malformed");                  // wire type 7
  CHECK(scan_verdict("\x0b\x0c") == "3 model.malformed");                  // group
  CHECK(scan_verdict(std::string("\x00\x01", 2)) == "3 model.malformed");  // field number 0
  // A node that claims to be longer than its graph.
  CHECK(scan_verdict(field(7,
                           "\x0a\x05"
                           "ab") +
                     std::string(10, '\x08')) == "3 model.malformed");
  CHECK(scan_verdict(field(7, field(5, field(7, "\x81")))) == "3 model.malformed");
  try {
    scan(std::string("\x08\x01\x0f", 3));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.text().message.find("byte 2") != std::string::npos);
  }
}

TEST_CASE("scan_wire refuses what protobuf would merge") {
  const std::string graph = field(7, field(2, "g"));
  CHECK(scan_verdict(graph).empty());
  CHECK(scan_verdict(graph + graph) == "3 model.malformed");
}

TEST_CASE("scan_wire bounds nesting without recursion") {
  for (const int levels : {33, 34, 1000, 100'000}) {
    std::string graph = field(2, "g");
    // Built from the inside out would be quadratic: write only the heads, each to the end.
    std::string heads;
    size_t rest = graph.size();
    std::vector<std::string> parts;
    for (int i = 0; i < levels; ++i)
      for (const int number : {6, 5, 1}) {
        parts.push_back(varint(static_cast<uint64_t>(number) << 3 | 2) + varint(rest));
        rest += parts.back().size();
      }
    for (auto it = parts.rbegin(); it != parts.rend(); ++it) heads += *it;
    CAPTURE(levels);
    CHECK(scan_verdict(field(7, heads + graph)) == "8 model.depth");
  }
  CHECK(scan_verdict(field(7, field(1, field(5, field(6, field(2, "g")))))).empty());
}

TEST_CASE("scan_wire refuses memory amplification") {
  constexpr size_t kCount = 5'000'000;
  CHECK(scan_verdict(field(7, repeated(std::string("\x0a\x00", 2), kCount))) == "8 model.memory");
  CHECK(scan_verdict(field(7, repeated(std::string("\x2a\x00", 2), kCount))) == "8 model.memory");
  CHECK(scan_verdict(field(7, field(1, repeated(std::string("\x2a\x00", 2), kCount)))) ==
        "8 model.memory");
  const std::string functions = repeated(std::string("\xca\x01\x00", 3), 10'001);
  CHECK(scan_verdict(functions) == "8 model.functions");
}

}  // namespace
}  // namespace lathe
