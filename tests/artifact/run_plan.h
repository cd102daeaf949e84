// Runs a plan with every block of memory on its own, so that the address sanitizer sees each byte
// that is touched beside it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "ir/seeded_random.h"
#include "program/program.h"

namespace lathe::test {

using Outputs = std::vector<std::vector<std::byte>>;

/// Seeded contents of all inputs.
inline Outputs seeded_inputs(const NativePlan& plan, uint64_t seed) {
  SeededRandom random(seed, 0);
  Outputs inputs;
  for (const PlanValue& value : plan.inputs) {
    const PlanView& view = plan.views[static_cast<size_t>(value.view.index)];
    std::vector<std::byte> bytes(static_cast<size_t>(element_count(view.shape)) *
                                 static_cast<size_t>(dtype_bits(view.dtype) / 8));
    if (view.dtype == DType::kFloat32)
      for (size_t i = 0; i < bytes.size(); i += 4) {
        const auto number = static_cast<float>(random.normal());
        std::memcpy(bytes.data() + i, &number, 4);
      }
    else
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
    inputs.push_back(std::move(bytes));
  }
  return inputs;
}

/// By a Program or a BatchProgram.
inline Outputs run_program(auto& program, const Outputs& inputs,
                           const Program::StepObserver& observer = {}) {
  const NativePlan& plan = program.plan();
  std::vector<const void*> in;
  for (const auto& bytes : inputs) in.push_back(bytes.data());
  Outputs outputs;
  std::vector<void*> out;
  for (const PlanValue& value : plan.outputs) {
    const PlanView& view = plan.views[static_cast<size_t>(value.view.index)];
    outputs.emplace_back(static_cast<size_t>(plan.blocks[static_cast<size_t>(view.block)].bytes));
  }
  for (auto& bytes : outputs) out.push_back(bytes.data());
  program.run(in, out, observer);
  return outputs;
}

/// As it is: the arena in one piece.
inline Outputs run(const NativePlan& plan, const Outputs& inputs, const ProgramOptions& options) {
  Program program(plan, options);
  return run_program(program, inputs);
}

inline std::vector<float> floats_of(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

/// By one thread; by others it is the same, and `step` by `implementation` (any: "").
inline Outputs check_threads(const NativePlan& plan, const Outputs& inputs, size_t step,
                             std::string_view implementation) {
  Outputs alone;
  for (const int threads : {1, 2, 3, 5, 8}) {
    CAPTURE(threads);
    ProgramOptions options;
    options.threads = threads;
    Program program(plan, options);
    if (!implementation.empty()) CHECK(program.implementation(step) == implementation);
    Outputs got = run_program(program, inputs);
    if (threads == 1) alone = got;
    CHECK(got == alone);
  }
  return alone;
}

/// The arena's blocks as outputs, each with exactly its bytes behind it.
inline Outputs run_apart(NativePlan plan, const Outputs& inputs, const ProgramOptions& options) {
  std::vector<std::unique_ptr<std::byte[]>> held;
  std::vector<const void*> in;
  for (const auto& bytes : inputs) {
    held.push_back(std::make_unique<std::byte[]>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), held.back().get());
    in.push_back(held.back().get());
  }
  std::vector<void*> out(plan.outputs.size());
  std::vector<size_t> size_of(plan.outputs.size());
  for (PlanBlock& block : plan.blocks) {
    if (block.place != BlockPlace::kArena && block.place != BlockPlace::kOutput) continue;
    held.push_back(std::make_unique<std::byte[]>(static_cast<size_t>(block.bytes)));
    if (block.place == BlockPlace::kOutput) {
      out[static_cast<size_t>(block.offset)] = held.back().get();
      size_of[static_cast<size_t>(block.offset)] = static_cast<size_t>(block.bytes);
      continue;
    }
    block.place = BlockPlace::kOutput;
    block.offset = static_cast<int64_t>(out.size());
    out.push_back(held.back().get());
  }
  plan.arena_bytes = 0;
  Program(plan, options).run(in, out);
  Outputs outputs;
  for (size_t i = 0; i < size_of.size(); ++i) {
    const auto* bytes = static_cast<const std::byte*>(out[i]);
    outputs.emplace_back(bytes, bytes + size_of[i]);
  }
  return outputs;
}

}  // namespace lathe::test
