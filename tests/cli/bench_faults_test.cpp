// lathe bench when things go wrong: crashes, memory, signals, full disks, files of others.
#include <nlohmann/json.hpp>

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "onnx/read_fixtures.h"
#include "report_schema.h"
#include "run_lathe.h"
#include "running_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::vector<std::string> quiet(const std::vector<std::string>& more) {
  return joined({"bench", kGlyphs, "--quiet"}, more);
}

bool is_gone(pid_t pid) {
  return wait_until([pid] { return ::kill(pid, 0) != 0 && errno == ESRCH; }, 10);
}

json read_json(const std::string& path) {
  const json document = json::parse(content_of(path), nullptr, false);
  REQUIRE(document.is_object());
  return document;
}

// An array of float32 zeros as NumPy writes it.
std::string npy_of_zeros(const std::string& shape, size_t count) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(117, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         std::string(4 * count, '\0');
}

std::vector<std::string> three_runs(const std::vector<std::string>& more) {
  return joined({"bench", kGlyphs, "--iterations", "3", "--warmup", "3", "--max-time", "2s"}, more);
}

TEST_CASE("an interrupt leaves a partial report, whatever was under way") {
  const ScratchDirectory folder;
  const std::string path = folder.path("r.json");
  // How long this machine takes at the moment to start a benchmark.
  const auto begin = std::chrono::steady_clock::now();
  CHECK(RunningLathe(quiet({"--dry-run"})).finish(120) == 0);
  const auto start = std::chrono::steady_clock::now() - begin;
  int reports = 0;
  for (const int number : {SIGINT, SIGTERM})
    for (const bool measures : {false, true})
      for (const bool compares : {false, true}) {
        if (!measures && compares) continue;
        CAPTURE(number);
        CAPTURE(measures);
        CAPTURE(compares);
        std::vector<std::string> words{"--threads",  "1",         "--iterations", "10000000",
                                       "--gate",     "p99 < 1ns", "--report",     path,
                                       "--max-time", "1200s"};
        if (compares) words.insert(words.end(), {"--against", kGlyphs, "--processes", "1"});
        RunningLathe lathe(quiet(words));
        std::this_thread::sleep_for(std::max<std::chrono::nanoseconds>(
            measures ? 3 * start : start / 2, std::chrono::milliseconds(measures ? 1500 : 300)));
        const auto sent = std::chrono::steady_clock::now();
        lathe.send(number);
        CHECK(lathe.finish(60) == (number == SIGINT ? 130 : 143));
        // On a busy machine LibTorch is still being loaded when the time for a report is over.
        if (std::chrono::steady_clock::now() - sent >= std::chrono::seconds(2) && !fs::exists(path))
          continue;
        ++reports;
        const json report = read_json(path);
        CHECK(report["complete"] == false);
        CHECK(report["exit_code"] == (number == SIGINT ? 130 : 143));
        CHECK(report["verdict"] == "error");
        for (const json& gate : report["gates"]) CHECK(gate["verdict"] == "skipped");
        CHECK(listing(folder.path()) == std::vector<std::string>{path});
        fs::remove(path);
      }
  CHECK(reports > 0);
}

TEST_CASE("an interrupted sweep ends its child, keeps what is finished and goes on later") {
  const ScratchDirectory folder;
  const std::string path = folder.path("r.json");
  const std::string resume = folder.path("sweep.jsonl");
  const std::vector<std::string> sweep{"--threads",    "1",   "--batch",  "1,2,3,4",
                                       "--iterations", "700", "--resume", resume};
  std::vector<std::string> words = sweep;
  words.insert(words.end(), {"--report", path});
  pid_t child = 0;
  {
    RunningLathe lathe(quiet(words));
    REQUIRE(wait_until([&] { return fs::exists(resume) && fs::file_size(resume) > 0; }));
    REQUIRE(wait_until([&] { return (child = lathe.child()) != 0; }));
    lathe.send(SIGINT);
    CHECK(lathe.finish(60) == 130);
  }
  CHECK(is_gone(child));
  const json partial = read_json(path);
  CHECK(partial["complete"] == false);
  const size_t finished = partial["cases"].size();
  CHECK(finished >= 1);
  CHECK(finished < 4);
  CHECK(content_of(resume).back() == '\n');
  words = {"bench", kGlyphs, "--json"};
  words.insert(words.end(), sweep.begin(), sweep.end());
  const CliResult rest = run_lathe(words);
  INFO(rest.err);
  CHECK(rest.exit_code == 0);
  CHECK(report_of(rest)["sweep"]["resumed"] == finished);
  CHECK(report_of(rest)["cases"].size() == 4);
}

TEST_CASE("killed itself, lathe leaves no child behind") {
  pid_t child = 0;
  {
    RunningLathe lathe(quiet({"--threads", "1,2", "--iterations", "10000000"}));
    REQUIRE(wait_until([&] { return (child = lathe.child()) != 0; }));
    lathe.send(SIGKILL);
    CHECK(lathe.finish(60) == -SIGKILL);
  }
  CHECK(is_gone(child));
}

TEST_CASE("a child that crashes costs its case, not the others") {
  const ScratchDirectory folder;
  const std::string path = folder.path("r.json");
  for (const int number : {SIGSEGV, SIGABRT}) {
    const bool gated = number == SIGABRT;
    CAPTURE(number);
    std::vector<std::string> words{"--threads",  "1",  "--engine", "interpreter,torchscript",
                                   "--max-time", "2s", "--report", path};
    if (gated) words.insert(words.end(), {"--gate", "size < 1MiB"});
    RunningLathe lathe(quiet(words));
    pid_t child = 0;
    REQUIRE(wait_until([&] { return (child = lathe.child()) != 0; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    ::kill(child, number);
    CHECK(lathe.finish(60) == (gated ? 4 : 7));
    const json report = read_json(path);
    CHECK(report["complete"] == true);
    REQUIRE(report["cases"].size() == 2);
    int failed = 0;
    for (const json& row : report["cases"]) {
      if (!row.value("failed", false)) {
        CHECK(row["latency"]["median"]["value"] > 0);
        continue;
      }
      ++failed;
      CHECK(row["error"]["signal"] == number);
    }
    CHECK(failed == 1);
    for (const json& gate : report["gates"])
      if (gate["verdict"] == "fail")
        CHECK(gate["reason"].get<std::string>().find("the case failed") == 0);
    fs::remove(path);
  }
}

TEST_CASE("a batch that does not fit into memory is reported, larger ones are not tried") {
  const CliResult result =
      run_lathe({"bench", kGlyphs, "--threads", "1", "--iterations", "2", "--max-memory", "1GiB",
                 "--batch", "1,64,300000,400000,500000", "--json"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  const json report = report_of(result);
  REQUIRE(report["cases"].size() == 5);
  CHECK(report["sweep"]["failed"].get<int>() + report["sweep"]["not_tried"].get<int>() == 3);
  for (const json& row : report["cases"]) {
    if (row["batch"].get<int64_t>() <= 64) {
      CHECK(row["latency"]["median"]["value"] > 0);
      continue;
    }
    CHECK(row["error"]["exit_code"] == 8);
    const std::string message = row["error"]["message"];
    INFO(message);
    CHECK((message.find("out of memory") == 0 || message.find("not tried: batch") == 0));
  }
  check_refused(run_lathe({"bench", kGlyphs, "--threads", "1", "--max-memory", "1GiB", "--batch",
                           "1000000", "--quiet"}),
                8, {"memory"});
}

TEST_CASE("a disk that is full: code 9, nothing half-written, the report says so") {
  const ScratchDirectory folder;
  const auto file = [&](const char* name) { return folder.path(name); };
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  // The page is larger than this, the report of the failure is not.
  const rlimit small{6000, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const CliResult result = run_lathe(three_runs(
      {"--threads", "1", "--report", file("r.json"), "--html", file("r.html"), "--quiet"}));
  const rlimit tiny{100, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tiny) == 0);
  const CliResult resumed =
      run_lathe(three_runs({"--threads", "1,2", "--resume", file("sweep.jsonl"), "--quiet"}));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  check_refused(result, 9, {"r.html"});
  const json report = read_json(file("r.json"));
  CHECK(report["exit_code"] == 9);
  CHECK(report["complete"] == false);
  CHECK(resumed.exit_code == 9);
  CHECK(resumed.err.find("sweep.jsonl") != std::string::npos);
  CHECK(listing(folder.path()) == std::vector<std::string>{file("r.json"), file("sweep.jsonl")});
  // What was cut off is dropped, the sweep goes on.
  const CliResult again =
      run_lathe(three_runs({"--threads", "1,2", "--resume", file("sweep.jsonl"), "--json"}));
  CHECK(again.exit_code == 0);
}

TEST_CASE("results that nobody takes: stdout full or closed") {
  for (const char* path : {"-", "/dev/full"})
    for (const char* threads : {"1", "1,2"}) {
      CAPTURE(path);
      CAPTURE(threads);
      std::vector<std::string> words = three_runs({"--threads", threads});
      if (std::string(path) == "-") words.insert(words.end(), {"--json", "--quiet"});
      const CliResult result = run_lathe(words, {.stdout_path = path, .directory = {}});
      CHECK(result.signal == 0);
      CHECK(result.exit_code == 9);
      CHECK(result.err.find("standard output") != std::string::npos);
    }
}

TEST_CASE("a reader that goes away costs the text on the screen and nothing else") {
  for (const char* threads : {"1", "1,2"}) {
    CAPTURE(threads);
    const ScratchDirectory folder;
    const auto file = [&](const char* name) { return folder.path(name); };
    std::string command = LATHE_BINARY;
    for (const std::string& word :
         three_runs({"--threads", threads, "--report", file("r.json"), "--html", file("r.html"),
                     "--export", "csv=" + file("r.csv")}))
      command += " '" + word + "'";
    // bash, as sh has no PIPESTATUS.
    command = "bash -c \"" + command + " 2>'" + file("err") + "' | true; exit \\${PIPESTATUS[0]}\"";
    const int status = std::system(command.c_str());
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 9);
    CHECK(content_of(file("err")).find("standard output") != std::string::npos);
    const json report = read_json(file("r.json"));
    CHECK(schema_errors(report) == "");
    CHECK(report["exit_code"] == 9);
    CHECK(report["verdict"] == "pass");
    CHECK(report["complete"] == true);
    CHECK_FALSE(report.contains("error"));
    CHECK(report["cases"][0]["latency"]["median"]["value"].get<double>() > 0);
    CHECK(report["warnings"].back()["code"] == "output.stdout");
    CHECK(content_of(file("r.html")).find("PASS") != std::string::npos);
    CHECK(content_of(file("r.csv")).find("glyphs") != std::string::npos);
  }
}

TEST_CASE("outputs never replace each other or what is read") {
  const ScratchDirectory folder;
  const std::string gates = folder.write("gates.txt", "size < 1MiB\n");
  const std::string kept = folder.path("sweep.jsonl");
  CHECK(run_lathe(three_runs({"--threads", "1", "--resume", kept, "--quiet"})).exit_code == 0);
  const std::string stored = content_of(kept);
  CHECK(stored.size() > 1000);
  for (const char* output : {"--report", "--html"}) {
    CAPTURE(output);
    check_refused(run_lathe(three_runs({"--gates", gates, output, gates, "--force"})), 2,
                  {"gates.txt"});
    CHECK(content_of(gates) == "size < 1MiB\n");
    check_refused(run_lathe(three_runs({"--resume", kept, output, kept, "--force"})), 2,
                  {"sweep.jsonl"});
    CHECK(content_of(kept) == stored);
  }
  const std::string model = folder.write("m.onnx", content_of(kGlyphs));
  fs::create_directory_symlink(folder.path(), folder.path("link"));
  for (const std::string& path : {model, folder.path("link/m.onnx")})
    CHECK(run_lathe({"bench", model, "--resume", path}).exit_code == 2);
  CHECK(content_of(model) == content_of(kGlyphs));
}

TEST_CASE("a resume file that is not ours is left alone") {
  const ScratchDirectory folder;
  const auto refuse = [&](const std::string& name, const std::string& content) {
    CAPTURE(name);
    const std::string path = folder.write(name, content);
    check_refused(run_lathe(three_runs({"--threads", "1", "--resume", path, "--quiet"})), 2,
                  {name});
    CHECK(content_of(path) == content);
  };
  refuse("notes.txt", "important, without an end of line");
  refuse("config.json", "{\"a\": 1}");
  refuse("object.json", "{}\n");
  refuse("garbage", std::string("\x00\xff\x1b[31m\n\n", 9));
  CHECK(run_lathe(three_runs({"--resume", folder.path()})).exit_code == 2);
  CHECK(run_lathe(three_runs({"--resume", folder.path("no/f")})).exit_code == 9);
  check_refused(run_lathe(three_runs({"--resume", ""})), 2, {"--resume"});
}

TEST_CASE("stored results that were changed are refused, those of another run measured anew") {
  const ScratchDirectory folder;
  const std::string path = folder.path("sweep.jsonl");
  const std::vector<std::string> words =
      three_runs({"--threads", "1", "--resume", path, "--quiet"});
  REQUIRE(run_lathe(words).exit_code == 0);
  const json line = json::parse(content_of(path));
  for (const char* change : {"\"candidate_ns\":[", "\"model\":{"}) {
    CAPTURE(change);
    std::string text = line.dump() + "\n";
    const size_t at = text.find(change);
    REQUIRE(at != std::string::npos);
    text.insert(at + std::string(change).size(), change[1] == 'c' ? "7," : "\"x\":1,");
    std::ofstream(path, std::ios::binary) << text;
    check_refused(run_lathe(words), 2, {"sweep.jsonl:1", "changed"});
    CHECK(content_of(path) == text);
  }
  json other = line;
  other["key"] = std::string(64, '0');  // as another version or model would have it
  std::ofstream(path, std::ios::binary) << other.dump() << "\n";
  CHECK(run_lathe(words).exit_code == 0);
  std::istringstream lines(content_of(path));
  std::string first;
  std::string second;
  CHECK(std::getline(lines, first));
  CHECK(std::getline(lines, second));
  CHECK(json::parse(first) == other);
  CHECK(json::parse(second)["key"] == line["key"]);
}

TEST_CASE("data without samples, of one value, or of another shape") {
  const ScratchDirectory folder;
  const auto bench = [&](const std::string& data) {
    return run_lathe(three_runs({"--threads", "1", "--quiet", "--data", data}));
  };
  check_refused(bench(folder.write("none.npy", npy_of_zeros("(0, 1, 28, 28)", 0))), 3,
                {"none.npy", "empty"});
  check_refused(bench(folder.write("rows.npy", npy_of_zeros("(0, 1, 1, 28, 28)", 0))), 3,
                {"empty"});
  fs::create_directory(folder.path("images"));
  check_refused(bench(folder.path("images")), 3, {"images"});
  check_refused(bench(folder.write("shape.npy", npy_of_zeros("(4, 3, 5)", 60))), 3,
                {"3x5", "28x28"});
  check_refused(bench(""), 2, {"--data"});
  const CliResult constant = run_lathe(
      three_runs({"--threads", "1", "--json", "--data",
                  folder.write("same.npy", npy_of_zeros("(4, 1, 1, 28, 28)", 4 * 28 * 28))}));
  CHECK(constant.exit_code == 0);
  CHECK(warns(report_of(constant), "bench.constant_input"));
}

TEST_CASE("numbers out of their range are refused in one line") {
  for (const auto& [flag, value] :
       std::vector<std::pair<const char*, const char*>>{{"--iterations", "-1"},
                                                        {"--iterations", "99999999999999999999"},
                                                        {"--iterations", "1.5"},
                                                        {"--samples", "-1"},
                                                        {"--max-time", "0"},
                                                        {"--max-time", "-1s"},
                                                        {"--max-time", "1e30s"},
                                                        {"--max-time", "5"},
                                                        {"--max-time", ""},
                                                        {"--threads", "4097"},
                                                        {"--threads", "1,,2"},
                                                        {"--batch", "0"},
                                                        {"--batch", "1048577"},
                                                        {"--batch", ""},
                                                        {"--processes", "0"},
                                                        {"--tolerance", "-1%"}}) {
    CAPTURE(flag);
    CAPTURE(value);
    const CliResult result = run_lathe({"bench", kGlyphs, flag, value});
    check_refused(result, 2, {flag});
    CHECK(result.err.size() < 300);
  }
}

TEST_CASE("the shortest time and far more threads than CPUs still measure") {
  CHECK(run_lathe({"bench", kGlyphs, "--threads", "1", "--max-time", "1ns"}).exit_code == 0);
  const CliResult many = run_lathe(
      {"bench", kGlyphs, "--threads", "512", "--iterations", "2", "--max-time", "1s", "--json"});
  INFO(many.err);
  CHECK(many.exit_code == 0);
  CHECK(report_of(many)["cases"][0]["threads"]["effective"] == 512);
  check_refused(run_lathe({"bench", kGlyphs, "--threads", "4096", "--max-memory", "4GiB"}), 8,
                {"--threads", "4096"});
}

TEST_CASE("values given twice are one case") {
  const std::string cpus = std::to_string(std::thread::hardware_concurrency());
  const CliResult result =
      run_lathe({"bench", kGlyphs, "--threads", "0," + cpus, "--batch", "2,1,2,1..2", "--engine",
                 "auto,native", "--dry-run", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(report_of(result)["cases"].size() == 2);
}

}  // namespace
}  // namespace lathe
