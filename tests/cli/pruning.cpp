#include "pruning.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "report_schema.h"

extern char** environ;

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

pid_t start(const std::string& program, std::vector<std::string> words) {
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A shell that runs tests in the background ignores SIGINT.
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int problem =
      posix_spawn(&child, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) throw std::runtime_error("cannot start " + program);
  return child;
}

onnx::ModelProto parsed(const std::string& path) {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(content_of(path)));
  return model;
}

bool has_weight(const onnx::NodeProto& node) {
  const std::string& type = node.op_type();
  return type == "Conv" || type == "ConvTranspose" || type == "Gemm" || type == "MatMul";
}

}  // namespace

std::vector<std::string> joined(std::vector<std::string> words,
                                const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string draw_glyphs(const Folder& folder, const std::string& name, int count, int seed,
                        bool labels) {
  const std::string path = (folder.path() / (name + ".npz")).string();
  const pid_t child = start(LATHE_BINARY "-glyphs", {"--count", std::to_string(count), "--seed",
                                                     std::to_string(seed), "-o", path});
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  const std::string spec = (folder.path() / (name + ".json")).string();
  if (!labels) {
    nlohmann::json fields = nlohmann::json::parse(content_of(spec));
    fields.erase("labels");
    std::ofstream(spec) << fields.dump();
  }
  return spec;
}

CliResult PruneFiles::prune(const std::string& out, std::vector<std::string> more) const {
  more.insert(more.begin(), "prune");
  more.insert(more.end(), {"-o", at(out), "--latency", "off"});
  return run_lathe(more);
}

nlohmann::json PruneFiles::pruned(const std::string& out, std::vector<std::string> more) const {
  more.insert(more.begin(), kGlyphsModel);
  more.insert(more.end(), {"--json", "--force"});
  const CliResult result = prune(out, more);
  INFO("stderr: ", result.err, " stdout: ", result.out);
  REQUIRE(result.exit_code == 0);
  nlohmann::json report = report_of(result);
  CHECK(schema_errors(report) == "");
  return report;
}

std::vector<float> floats_of(const onnx::TensorProto& tensor) {
  if (tensor.raw_data().empty()) return {tensor.float_data().begin(), tensor.float_data().end()};
  std::vector<float> values(tensor.raw_data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(float));
  return values;
}

int64_t StoredWeight::zeros() const { return std::count(values.begin(), values.end(), 0.0f); }

std::map<std::string, StoredWeight> stored_weights(const std::string& path) {
  const onnx::ModelProto model = parsed(path);
  std::map<std::string, const onnx::TensorProto*> constants;
  for (const onnx::TensorProto& tensor : model.graph().initializer())
    constants[tensor.name()] = &tensor;
  std::map<std::string, StoredWeight> weights;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (!has_weight(node)) continue;
    const onnx::TensorProto& tensor = *constants.at(node.input(1));
    StoredWeight& weight = weights[node.name()];
    weight.dims.assign(tensor.dims().begin(), tensor.dims().end());
    weight.values = floats_of(tensor);
  }
  return weights;
}

std::string with_element(const std::string& path, const std::string& node, float value) {
  onnx::ModelProto model = parsed(path);
  std::string name;
  for (const onnx::NodeProto& candidate : model.graph().node())
    if (candidate.name() == node) name = candidate.input(1);
  for (onnx::TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) {
    if (tensor.name() != name) continue;
    std::vector<float> values = floats_of(tensor);
    values.at(3) = value;
    tensor.clear_float_data();
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));
    return model.SerializeAsString();
  }
  throw std::runtime_error("no weight of " + node);
}

RunningLathe::RunningLathe(std::vector<std::string> arguments)
    : child_(start(LATHE_BINARY, std::move(arguments))) {}

RunningLathe::~RunningLathe() {
  if (ended()) return;
  kill(child_, SIGKILL);
  waitpid(child_, &status_, 0);
}

bool RunningLathe::ended() {
  if (!ended_) ended_ = waitpid(child_, &status_, WNOHANG) == child_;
  return ended_;
}

bool RunningLathe::wait_for(const std::string& path) {
  for (const auto end = Clock::now() + std::chrono::seconds(60); Clock::now() < end;) {
    if (std::filesystem::exists(path)) return true;
    if (ended()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

void RunningLathe::send(int signal) {
  if (!ended()) kill(child_, signal);
}

int RunningLathe::finish() {
  for (const auto end = Clock::now() + std::chrono::seconds(30); Clock::now() < end;) {
    if (ended()) return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return -1;
}

}  // namespace lathe
