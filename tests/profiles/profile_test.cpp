#include "profiles/profile.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "ir/error.h"
#include "ir/quantization.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

using nlohmann::json;

// "" when the profile loads, else the error's text; checks that it is exit 2.
std::string error_of(const std::string& name_or_file) {
  try {
    load_profile(name_or_file);
    return "";
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kUsage);
    return e.what();
  }
}

bool contains(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("not in: " << text);
  return found;
}

TEST_CASE("the eighteen shipped profiles load and are complete") {
  CHECK(profile_names() ==
        std::vector<std::string>{"android-arm64", "arm64-server", "cortex-m4", "cortex-m7", "esp32",
                                 "ethos-u55", "ethos-u65", "jetson_nano", "litert", "openvino",
                                 "raspberry_pi_4", "server-gpu", "tflm", "wearable", "x86-64",
                                 "x86-64-amx", "x86-64-vnni", "x86_64_low_power"});
  for (const std::string& name : profile_names()) {
    CAPTURE(name);
    const Profile profile = load_profile(name);
    CHECK(profile.name == name);
    CHECK(!profile.description.empty());
    CHECK(profile.hash.size() == 64);
    CHECK(profile.power_modes.size() == 3);
    REQUIRE(profile.rates);
    CHECK(profile.rates->gops.contains("float32"));
    CHECK(profile.rates->gops.contains("int8"));
    CHECK(profile.memory.ram_bytes);
    const TargetProfile& targets = profile.targets;
    CHECK(!targets.source.empty());
    CHECK((targets.latency_ms || !targets.latency_classes.empty()));
    CHECK(profile.execution.batch_default <= profile.execution.batch_max);
    const auto conv = allowed_configs(profile, OpKind::kConv);
    REQUIRE(!conv.empty());
    REQUIRE(conv[0]->weights);
    CHECK(conv[0]->weights->symmetric);
    // ESP-DL has one scale a tensor on the ESP32.
    CHECK(conv[0]->weights->per_channel == (name != "esp32"));
    CHECK(conv[0]->power_of_two == (name == "esp32"));
    CHECK((conv[0]->activations.symmetric || !conv[0]->power_of_two));
    const bool is_tflite = name == "litert" || name == "tflm" || name.starts_with("ethos-");
    CHECK(allowed_configs(profile, OpKind::kSoftmax).empty() != is_tflite);
    CHECK(profile.precision.pass_through.contains(OpKind::kMaxPool));
    // No op may be both quantized anew and passed through.
    for (const auto& [kind, configs] : profile.precision.ops)
      CHECK(!profile.precision.pass_through.contains(kind));
  }
}

TEST_CASE("extends merges key by key") {
  const Profile plain = load_profile("x86-64");
  const Profile vnni = load_profile(std::string(kDefaultProfile));
  CHECK(plain.cpu.int8 == "maddubs");
  CHECK(vnni.cpu.int8 == "vnni");
  CHECK(vnni.cpu.arch == "x86_64");
  // Where sums can saturate is found layer by layer; no profile takes a bit from all of them.
  CHECK(!plain.precision.configs.at("u8s8").weights->reduce_range);
  CHECK(!vnni.precision.configs.at("u8s8").weights->reduce_range);
  CHECK(vnni.precision.configs.at("u8s8").activations.dtype == DType::kUInt8);
  CHECK(vnni.precision.configs.at("u8s8").bias == DType::kInt32);
  CHECK(vnni.runtime.max_opset == 21);
  CHECK(vnni.runtime.max_ir == 10);
  CHECK(load_profile("x86-64-amx").cpu.int8 == "amx");
  CHECK(load_profile("x86-64-amx").precision.bfloat16);
  CHECK(!vnni.precision.bfloat16);
  CHECK(load_profile("x86_64_low_power").execution.batch_default == 32);
  CHECK(load_profile("raspberry_pi_4").execution.batch_default == 8);
  CHECK(load_profile("raspberry_pi_4").cpu.int8 == "none");
  CHECK(load_profile("jetson_nano").execution.batch_default == 16);
  CHECK(load_profile("cortex-m4").cpu.int8 == "cmsis-nn");
}

TEST_CASE("profile_json is resolved and describes itself") {
  const json shown = profile_json("x86-64-vnni");
  CHECK(!shown.contains("extends"));
  CHECK(shown["cpu"]["arch"] == "x86_64");
  CHECK(read_profile(shown, "x").hash == load_profile("x86-64-vnni").hash);
  CHECK(load_profile("x86-64").hash != load_profile("x86-64-vnni").hash);
}

TEST_CASE("unknown names suggest the nearest") {
  CHECK(contains(error_of("x86-64-vni"), "did you mean x86-64-vnni?"));
  CHECK(contains(error_of("raspberrypi4"), "did you mean raspberry_pi_4?"));
  CHECK(contains(error_of("qqqqqqqq"), "one of: android-arm64"));
  CHECK(contains(error_of("no/such/file"), "no such file"));
  CHECK(contains(error_of("absent.json"), "no such file"));
}

TEST_CASE("own profiles extend shipped and sibling ones") {
  const ScratchDirectory folder;
  const std::string board = folder.write(
      "board.json",
      R"({"extends":"x86-64","name":"board","cpu":{"cores":2},"precision":{"ops":{"Mul":[]}}})");
  const std::string child = folder.write(
      "child.json", R"({"extends":"board.json","name":"child","execution":{"threads":1},
"targets":{"accuracy_drop":null}})");
  const Profile profile = load_profile(child);
  CHECK(profile.name == "child");
  CHECK(profile.cpu.cores == 2);
  CHECK(profile.execution.threads == 1);
  CHECK(!profile.targets.accuracy_drop);
  CHECK(load_profile(board).targets.accuracy_drop);
  CHECK(allowed_configs(profile, OpKind::kMul).empty());
  CHECK(!allowed_configs(profile, OpKind::kAdd).empty());
  CHECK(load_profile(board).name == "board");
}

TEST_CASE("own profiles say powers of two and one bit less") {
  const ScratchDirectory folder;
  const Profile profile = load_profile(folder.write("p.json", R"({"extends":"x86-64",
"precision":{"configs":{"u8s8":{"power_of_two":true,"weights":{"reduce_range":true}}}}})"));
  CHECK(profile.precision.configs.at("u8s8").power_of_two);
  CHECK(profile.precision.configs.at("u8s8").weights->reduce_range);
  CHECK(!profile.precision.configs.at("u8").power_of_two);
  CHECK(!load_profile("x86-64").precision.configs.at("u8s8").power_of_two);
}

TEST_CASE("extends is bounded") {
  const ScratchDirectory folder;
  const std::string a = folder.write("a.json", R"({"extends":"b.json"})");
  folder.write("b.json", R"({"extends":"a.json"})");
  CHECK(contains(error_of(a), "extends itself"));
  CHECK(contains(error_of(folder.write("self.json", R"({"extends":"self.json"})")),
                 "extends itself"));
  CHECK(
      contains(error_of(folder.write("up.json", R"({"extends":"../x.json"})")), "may not extend"));
  CHECK(contains(error_of(folder.write("abs.json", R"({"extends":"/etc/x.json"})")),
                 "may not extend"));
  CHECK(contains(error_of(folder.write("no.json", R"({"extends":"esp23"})")), "/extends"));
  CHECK(contains(error_of(folder.write("num.json", R"({"extends":1})")),
                 "/extends: expected a string"));
  for (int i = 0; i < 20; ++i)
    folder.write("c" + std::to_string(i) + ".json",
                 R"({"extends":"c)" + std::to_string(i + 1) + ".json\"}");
  CHECK(contains(error_of(folder.write("c.json", R"({"extends":"c0.json"})")), "more than 8"));
}

TEST_CASE("wrong values name file, pointer, range and nearest") {
  const ScratchDirectory folder;
  const auto error = [&](const char* changes) {
    json document = json::parse(changes);
    document["extends"] = "x86-64";
    return error_of(folder.write("p.json", document.dump()));
  };
  CHECK(error("{}") == "");
  CHECK(contains(error(R"({"cpu":{"cores":0}})"),
                 "p.json: /cpu/cores: expected an integer from 1 to 4096, found 0"));
  CHECK(contains(error(R"({"cpu":{"core":4}})"), "did you mean cores?"));
  CHECK(contains(error(R"({"cpu":{"int8":"vnnni"}})"), "did you mean \"vnni\"?"));
  CHECK(contains(error(R"({"memory":{"ram_bytes":-1}})"), "/memory/ram_bytes"));
  CHECK(contains(error(R"({"memory":{"arena_alignment":48}})"), "power of two"));
  CHECK(contains(error(R"({"rates":{"bandwidth_gb_per_s":0}})"), "/rates/bandwidth_gb_per_s"));
  CHECK(contains(error(R"({"rates":{"gops":{"int8":1e300}}})"), "/rates/gops/int8"));
  CHECK(contains(error(R"({"rates":{"gops":{"int88":1}}})"), "did you mean int8?"));
  CHECK(contains(error(R"({"rates":{"source":"guessed"}})"), "stated, measured"));
  CHECK(contains(error(R"({"precision":{"ops":{"Convv":["u8s8"]}}})"), "did you mean Conv?"));
  CHECK(contains(error(R"({"precision":{"ops":{"Conv":["u8s9"]}}})"), "did you mean u8s8?"));
  CHECK(contains(error(R"({"precision":{"pass_through":["Bogus9"]}})"), "unknown op"));
  CHECK(contains(error(R"({"precision":{"configs":{"u8":{"activations":{"dtype":"int32"}}}}})"),
                 "/dtype"));
  CHECK(
      contains(error(R"({"precision":{"weight_only_bits":[3]}})"), "/precision/weight_only_bits"));
  CHECK(contains(error(R"({"precision":{"weight_only_bits":[5]}})"), "expected 4 or 8"));
  CHECK(contains(error(R"({"precision":{"configs":{"u8s8":{"power_of_two":1}}}})"),
                 "/precision/configs/u8s8/power_of_two"));
  CHECK(contains(error(R"({"precision":{"configs":{"u8s8":{"power_of_too":true}}}})"),
                 "did you mean power_of_two?"));
  CHECK(contains(error(R"({"runtime":{"max_opset":0}})"), "/runtime/max_opset"));
  CHECK(contains(error(R"({"execution":{"batch_default":100,"batch_max":10}})"),
                 "at least batch_default"));
  CHECK(contains(error(R"({"targets":{"accuracy_drop":1.5}})"), "from 0 to 1"));
  CHECK(contains(error(R"({"power_modes":{"turbo":{}}})"), "unknown key \"turbo\""));
  CHECK(contains(error(R"({"cpu":[]})"), "/cpu"));
  CHECK(contains(error_of(folder.write("half.json", R"({"name":"x"})")), "\"version\" is missing"));
  CHECK(contains(error_of(folder.write("cut.json", R"({"name":)")), "cut.json:1:"));
  CHECK(contains(error_of(folder.write("twice.json", R"({"name":"x","name":"y"})")), "twice"));
  CHECK(contains(error_of(folder.write("list.json", "[]")), "expected an object"));
}

TEST_CASE("limits that contradict each other are refused") {
  const auto refused = [](const std::string& changes) {
    try {
      nlohmann::json document = profile_json("cortex-m4");
      document.merge_patch(nlohmann::json::parse(changes));
      read_profile(document, "p.json");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kUsage);
      return error.text().where;
    }
    return std::string("taken");
  };
  CHECK(refused("{}") == "taken");
  CHECK(refused(R"({"targets": {"ram_bytes": 196609}})") == "p.json: /targets/ram_bytes");
  CHECK(refused(R"({"targets": {"size_bytes": 1048577}})") == "p.json: /targets/size_bytes");
  CHECK(refused(R"({"runtime": {"flash_bytes": 1048577}})") == "p.json: /runtime/flash_bytes");
  CHECK(refused(R"({"runtime": {"ram_bytes": 196609}})") == "p.json: /runtime/ram_bytes");
  // 500 ms each on one core are two a second.
  CHECK(refused(R"({"targets": {"throughput_per_s": 2}})") == "taken");
  CHECK(refused(R"({"targets": {"throughput_per_s": 3}})") == "p.json: /targets/throughput_per_s");
  CHECK(refused(R"({"execution": {"threads": 2}})") == "p.json: /execution/threads");
  CHECK(refused(R"({"power_modes": {"balanced": {"threads": 2}}})") ==
        "p.json: /power_modes/balanced/threads");
  CHECK(refused(R"({"power_modes": {"balanced": {"batch": 2}}})") ==
        "p.json: /power_modes/balanced/batch");
}

TEST_CASE("batches shrink with memory") {
  ExecutionProfile execution;
  execution.batch_default = execution.batch_max = 32;
  CHECK(batch_within_memory(execution, 32, 1) == 32);  // no floor is set
  execution.memory_floor_bytes = 1000;
  CHECK(batch_within_memory(execution, 32, 1000) == 32);
  CHECK(batch_within_memory(execution, 32, 999) == 16);
  CHECK(batch_within_memory(execution, 32, 499) == 8);
  CHECK(batch_within_memory(execution, 32, 0) == 1);
  CHECK(batch_within_memory(execution, 1000, 2000) == 32);
}

TEST_CASE("estimated latency is bound by arithmetic or by memory") {
  Profile profile;
  CHECK(!estimated_latency_ns(profile, "float32", 1, 1));
  profile.rates = RateProfile{"stated", "", {{"float32", 10.0}}, 2.0};
  CHECK(estimated_latency_ns(profile, "float32", 1000, 10) == 200.0);
  CHECK(estimated_latency_ns(profile, "float32", 1000, 1000) == 500.0);
  CHECK(!estimated_latency_ns(profile, "int8", 1, 1));
}

}  // namespace
}  // namespace lathe
