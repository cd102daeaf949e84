#include "train/process_environment.h"

#include <map>

#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::contains;
using test::error_of;
using Variables = std::map<std::string, std::string>;

std::optional<ProcessEnvironment> read(const Variables& variables) {
  return process_environment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string environment_refusal(const Variables& variables) {
  return error_of([&] { read(variables); });
}

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

const Variables kTorchrun = {{"RANK", "3"},
                             {"WORLD_SIZE", "4"},
                             {"LOCAL_RANK", "1"},
                             {"MASTER_ADDR", "node7"},
                             {"MASTER_PORT", "29500"}};
const Variables kSlurm = {{"SLURM_PROCID", "5"},
                          {"SLURM_NTASKS", "8"},
                          {"SLURM_LOCALID", "2"},
                          {"SLURM_JOB_NODELIST", "gpu[003-010,12],big1"},
                          {"SLURM_JOB_ID", "1234567"}};

}  // namespace

TEST_CASE("torchrun's variables are read") {
  const auto read_back = read(kTorchrun);
  REQUIRE(read_back);
  CHECK(read_back->rank == 3);
  CHECK(read_back->size == 4);
  CHECK(read_back->local_rank == 1);
  CHECK(read_back->address == "node7");
  CHECK(read_back->port == 29500);
  CHECK_FALSE(read_back->store_served);
  CHECK(read_back->network.empty());
  Variables agent = with(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE", "True");
  agent["TORCHELASTIC_RESTART_COUNT"] = "2";
  agent["GLOO_SOCKET_IFNAME"] = "ib0";
  CHECK(read(agent)->store_served);
  CHECK(read(agent)->attempt == "2");
  CHECK(read(agent)->network == "ib0");
  // torchrun started by srun: its own variables are the ones of this process.
  Variables both = kTorchrun;
  both.insert(kSlurm.begin(), kSlurm.end());
  CHECK(read(both)->rank == 3);
}

TEST_CASE("Slurm's variables are read, the port comes from the job") {
  const auto read_back = read(kSlurm);
  REQUIRE(read_back);
  CHECK(read_back->rank == 5);
  CHECK(read_back->size == 8);
  CHECK(read_back->local_rank == 2);
  CHECK(read_back->address == "gpu003");
  CHECK(read_back->port == 10000 + 1234567 % 20000);
  // A step may run on fewer hosts, with fewer processes.
  Variables step = with(kSlurm, "SLURM_STEP_NODELIST", "gpu009");
  step["SLURM_STEP_NUM_TASKS"] = "6";
  step["SLURM_STEP_ID"] = "1";
  CHECK(read(step)->address == "gpu009");
  CHECK(read(step)->size == 6);
  CHECK(read(step)->port != read_back->port);
  Variables named = with(kSlurm, "MASTER_ADDR", "10.0.0.3");
  named["MASTER_PORT"] = "4321";
  CHECK(read(named)->address == "10.0.0.3");
  CHECK(read(named)->port == 4321);
}

TEST_CASE("a process without these variables, or with a size of one, is alone") {
  CHECK_FALSE(read({}));
  CHECK_FALSE(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
  CHECK_FALSE(read({{"RANK", ""}, {"WORLD_SIZE", ""}}));
  CHECK_FALSE(read({{"SLURM_NTASKS", "4"}, {"SLURM_JOB_ID", "7"}}));  // the shell of salloc
  CHECK_FALSE(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}}));
}

TEST_CASE("missing and impossible variables are named") {
  for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
    CAPTURE(name);
    const std::string error = environment_refusal(without(kTorchrun, name));
    CHECK(contains(error, "2 train.processes"));
    CHECK(contains(error, std::string(name) + " is not set"));
  }
  for (const char* name : {"SLURM_NTASKS", "SLURM_JOB_NODELIST", "SLURM_JOB_ID"})
    CHECK(contains(environment_refusal(without(kSlurm, name)), std::string(name) + " is not set"));
  CHECK(contains(environment_refusal(with(kTorchrun, "RANK", "4")), "RANK is 4"));
  CHECK(contains(environment_refusal(with(kTorchrun, "RANK", "-1")), "RANK is -1"));
  CHECK(contains(environment_refusal(with(kTorchrun, "RANK", "1x")), "RANK is 1x"));
  CHECK(contains(environment_refusal(with(kTorchrun, "RANK", "99999999999999999999")),
                 "RANK is 9999"));
  CHECK(contains(environment_refusal(with(kTorchrun, "WORLD_SIZE", "0")), "WORLD_SIZE is 0"));
  CHECK(contains(environment_refusal(with(kTorchrun, "MASTER_PORT", "70000")),
                 "MASTER_PORT is 70000"));
  CHECK(contains(environment_refusal(with(kTorchrun, "LOCAL_RANK", "9")), "LOCAL_RANK is 9"));
  CHECK(contains(environment_refusal(with(kSlurm, "SLURM_PROCID", "8")), "SLURM_PROCID is 8"));
  CHECK(contains(environment_refusal(with(kSlurm, "SLURM_JOB_ID", "x\x1b")),
                 "SLURM_JOB_ID is x\\x1b"));
}

TEST_CASE("the first host of a Slurm list") {
  CHECK(first_host("node1") == "node1");
  CHECK(first_host("node1,node2") == "node1");
  CHECK(first_host("node[003-010,12]") == "node003");
  CHECK(first_host("node[7,9-11],big[1-2]") == "node7");
  CHECK(first_host("rack[1-2]-node[04-05].example.org,other") == "rack1-node04.example.org");
  for (const char* bad : {"", ",a", "node[", "node[]", "node[-3]", "node[1-2", "node[a]", "no de",
                          "node]", "node[1;2]", "$(x)", "[[1]]"}) {
    CAPTURE(bad);
    CHECK(contains(error_of([&] { first_host(bad); }), "2 train.processes"));
  }
  CHECK_FALSE(error_of([&] { first_host(std::string(300, 'a')); }).empty());
}

}  // namespace lathe
