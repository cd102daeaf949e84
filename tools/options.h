// What every subcommand shares. Flags become these structs once; nothing deeper sees the parser.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "names/code_cores.h"
#include "names/targets.h"

namespace lathe {

struct CommonOptions {
  std::string output;                // -o
  std::string report;                // --report FILE.json
  bool json = false;                 // the report alone on stdout
  std::string html;                  // --html FILE
  std::vector<std::string> exports;  // --export KIND=FILE
  std::string profile = "x86-64-vnni";
  int threads = 0;  // 0: usable CPUs by affinity and cgroup
  uint64_t seed = 0;
  std::string config;
  bool dry_run = false;
  bool force = false;
  bool quiet = false;
  int verbosity = 0;
  std::string color = "auto";      // auto | always | never
  std::string max_memory;          // quantity: "4GiB"
  std::string limits = "default";  // strict | default | off
  bool follow_links = false;
  bool trust = false;
  bool require_fit = false;
  std::vector<std::string> input_shapes;  // "NAME=1x3x224x224"
  std::vector<std::string> input_types;   // "NAME=int64"
  std::vector<std::string> input_values;  // "NAME=16000"
  std::string remote;                     // [user@]host[:port] that computes; empty: this one
  std::string runner;                     // lathe-runner for there; empty: lathe's own

  std::vector<std::string> argv;  // as given
  std::string recipe = "{}";      // JSON object of the flags that were given, for the report
};

struct QuantizeOptions {
  CommonOptions common;
  std::string model;
  std::string data;
  std::string mode = "static";
  std::string observer = "auto";
  std::string effort = "balanced";  // fast | balanced | best
  std::string time;                 // quantity: "10min"; empty: as long as it takes
  std::optional<int64_t> samples;   // nullopt: 256, of random data 16
  std::string statistics;
  std::string import_encodings;      // FILE
  std::string export_encodings;      // "aimet=FILE", "onnxruntime=FILE", FILE
  std::vector<std::string> tensors;  // "GLOB=uint16,symmetric,-1..6"
  std::string eval;
  std::string metric;          // empty: top1 with labels, agreement without
  std::string max_drop;        // quantity: "1%"
  std::string eval_command;    // its last number is the metric
  std::string format = "qdq";  // qdq | qoperator | matmulnbits
  std::string weight_granularity = "channel";
  int64_t weight_bits = 8;
  int64_t block_size = 32;  // of weights of 4 bits
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::optional<int64_t> opset;
};

/// How a network is trained: fine-tuning of prune, and distill.
struct TrainingOptions {
  int64_t epochs = 0;
  int64_t batch = 64;
  std::string optimizer = "adam";  // adam | sgd | adamw
  double lr = 1e-3;
  std::string lr_schedule = "constant";  // constant | cosine | step
  double weight_decay = 0;
  double temperature = 3;
  std::optional<double> alpha;  // share of the teacher; nullopt: 0.7 with labels, 1 without
  bool classes = false;         // the first output is class scores, whatever the graph says
  std::string augment;          // list: flip, crop, jitter; empty: none
  double ema = 0;               // decay of averaged weights; 0: none
  bool freeze_bn = false;
  std::string warmup;  // quantity: "5%" of the steps; empty: none
  double clip_norm = 0;
  double label_smoothing = 0;
  int64_t patience = 0;    // epochs without a better metric; 0: never stop early
  int64_t accumulate = 0;  // parts of a batch; 0: as memory allows
  bool checkpoint_activations = false;
  bool bfloat16 = false;
  bool channels_last = false;
  std::string checkpoint;  // folder
  bool resume = false;
};

struct PruneOptions {
  CommonOptions common;
  std::string model;
  std::string sparsity;   // quantity: "50%"
  std::string budget;     // "macs=50%", "params=", "bytes=", "latency="
  std::string structure;  // element | 2:4 | block-1x4 | channel | unit; empty: by what is asked
  std::string criterion = "l1";
  std::string scope;                  // layer | global; empty: global with a budget
  std::string schedule = "one-shot";  // one-shot | polynomial[:KEY=VALUE,…]
  std::string round_to = "1";         // 1 | auto | N
  std::string data;
  std::string repair = "auto";     // auto | off
  std::optional<int64_t> samples;  // of --data for repair and criteria; nullopt: 2000
  std::string eval;
  std::string metric;
  std::string max_drop;
  std::string latency = "auto";  // auto | off
  bool sensitivity = false;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::optional<int64_t> opset;
  TrainingOptions training;  // epochs: --finetune-epochs
};

struct DistillOptions {
  CommonOptions common;
  std::string teacher;
  std::string student;              // file
  std::string student_from_pruned;  // file that lathe prune wrote
  std::string student_width;        // quantity: "50%" of the teacher's channels
  bool student_separable = false;
  std::string student_init = "inherited";  // inherited | fresh
  std::string data;
  std::string eval;
  std::string metric;
  std::string max_drop;                // quantity: "1%"
  std::string latency = "auto";        // auto | off
  std::vector<std::string> features;   // TEACHER_VALUE=STUDENT_VALUE
  std::vector<std::string> attention;  // the same
  double feature_weight = 1;
  bool keep_sparsity = false;
  bool quantization_aware = false;
  std::string mode = "static";                 // static | weight-only
  int64_t weight_bits = 8;                     // 8 | 4
  std::string weight_granularity = "channel";  // channel | tensor
  std::string step_sizes = "learned";          // learned | follow
  std::string observer = "auto";
  std::optional<int64_t> samples;    // of --data, for calibration and repair; nullopt: 256 and 2000
  std::vector<std::string> include;  // what becomes separable or integer
  std::vector<std::string> exclude;
  std::optional<int64_t> opset;
  TrainingOptions training;
};

struct InspectOptions {
  CommonOptions common;
  std::string model;
};

struct RunOptionsCli {
  CommonOptions common;
  std::string model;
  std::string data;
  int64_t samples = 0;              // 0: all
  std::vector<std::string> values;  // globs of inner values
  std::string engine = "auto";      // auto | native | torchscript | interpreter
};

struct CompareOptionsCli {
  CommonOptions common;
  std::string first;
  std::string second;
  std::string data;
  int64_t samples = 0;
  std::optional<double> tolerance;
  std::optional<double> min_sqnr;
  std::string metric;
  std::string arithmetic;  // of the device: "maddubs"; empty: exact integers
};

/// How generated C computes: --target c99, and emulated boards.
struct CodeOptions {
  std::string rounding = "ort";
  std::string max_ram;   // quantity; empty: as much as there is
  std::string fast_ram;  // of a second region; empty: there is none
};

struct BenchOptions {
  CommonOptions common;
  CodeOptions code;
  std::vector<std::string> remotes;  // hosts; empty: this machine
  std::vector<std::string> models;
  std::string against;
  std::string baseline;  // a stored report
  bool allow_host_mismatch = false;
  std::string engine = "auto";  // list: auto, native, torchscript, interpreter
  std::string batch;            // list; empty: the model's own
  std::string threads = "0";    // list; 0: usable CPUs
  std::string data;
  std::string metric;
  int64_t samples = 0;
  std::vector<std::string> gates;
  std::string gates_file;
  std::optional<std::string> gate_profile;  // "": the profile of --profile
  bool allow_simulated = false;
  std::string tolerance;           // empty: 2 %, with --baseline 10 %, and no gate
  std::string max_time;            // empty: 60 s, of several cases 10 s each
  std::string duration;            // of a long run; empty: none
  std::optional<int64_t> warmup;   // iterations; nullopt: until stable
  int64_t iterations = 0;          // 0: until the result is stable
  int64_t processes = 0;           // 0: 1, with --against 5 or more, with --baseline 10
  std::string denormals = "keep";  // keep | flush
  bool profile_ops = false;
  std::string trace;  // file
  std::vector<std::string> recommend;
  std::string minimize;
  std::string maximize;
  std::string resume;
  std::string scenario = "single";  // single | multi | server | offline
  int64_t streams = 1;              // multi: closed loops; server, offline: workers
  bool lockstep = false;
  std::string rate;             // queries a second; empty: half of what the workers can serve
  std::string arrival;          // poisson | constant; empty: poisson
  std::string slo;              // quantity: "50ms"
  std::string max_queue_delay;  // quantity; empty: the profile's
  bool find_peak = false;
  std::string frames;      // frames a second; empty: no simulation
  std::string power_mode;  // empty: each of the profile's
  std::string early_exit;  // "SHARE:COST"
  /// Set in a child that measures one case for its parent (commands/bench/child.h); JSON.
  std::string child;
  bool doctor = false;
  bool self_check = false;
};

struct CompileOptions {
  CommonOptions common;
  std::string model;
  std::string target{targets().front().name};
  std::optional<int64_t> opset;
  bool float16 = false;
  bool dynamic_batch = false;
  bool external_data = false;
  bool tune = false;
  std::string tune_time = "60s";
  std::string prefix;  // of C names; empty: the output's name
  bool weights_file = false;
  CodeOptions code;
  std::string core{kAnyCore};
  std::vector<std::string> disabled;  // names of passes
  std::string verify = "random";      // random | off | DATA
  std::optional<double> tolerance;
};

struct BatchOptions {
  CommonOptions common;
  std::string jobs;
  std::string shard = "1/1";
  bool fresh = false;
};

struct ZooOptions {
  CommonOptions common;
  std::string name = "list";
  std::optional<int64_t> opset;
};

struct TraceOptionsCli {
  CommonOptions common;
  std::string file;
  int64_t top = 20;
  std::string name;  // glob; empty: all
  std::optional<int64_t> thread;
  std::string from;  // quantity: "10ms"; empty: no bound
  std::string to;
  std::string html;
};

struct ProfilesOptions {
  CommonOptions common;
  std::string action = "list";  // list | show | detect
  std::string name;
};

/// Of every subcommand; the one that is named is filled in.
struct Options {
  QuantizeOptions quantize;
  PruneOptions prune;
  DistillOptions distill;
  CompileOptions compile;
  BenchOptions bench;
  InspectOptions inspect;
  RunOptionsCli run;
  CompareOptionsCli compare;
  BatchOptions batch;
  ZooOptions zoo;
  TraceOptionsCli trace;
  ProfilesOptions profiles;
};

}  // namespace lathe
