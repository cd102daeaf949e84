// Generated C on an emulated board as an engine: it answers, and counts instead of being timed.
#pragma once

#include <functional>
#include <memory>

#include "emulation/emulated_c.h"
#include "run/engine.h"

namespace lathe {

class EmulatedEngine : public Engine {
 public:
  /// `specialize`: makes the graph of fixed input shapes that code is made of.
  /// `code`: as EmulatedC takes it.
  EmulatedEngine(const Board& board, Graph graph,
                 std::function<Graph(const Graph&, const std::vector<Shape>&)> specialize,
                 C99Options code = {});

  std::string_view name() const override { return board_.engine; }
  void prepare(const std::vector<std::vector<Tensor>>& samples) override;
  void execute(size_t iteration) override;
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs) override;
  /// Of all prepared samples.
  EngineFacts facts() override;

 private:
  void build(const std::vector<Shape>& shapes);
  std::vector<std::byte> bytes_of(const std::vector<Tensor>& sample) const;

  const Board& board_;
  Graph graph_;
  std::function<Graph(const Graph&, const std::vector<Shape>&)> specialize_;
  C99Options options_;
  Graph fixed_;
  std::vector<Shape> shapes_;
  std::unique_ptr<EmulatedC> code_;
  std::vector<std::vector<std::byte>> samples_;
};

}  // namespace lathe
