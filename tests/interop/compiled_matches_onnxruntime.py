"""`lathe compile` keeps what a model computes, in ONNX Runtime, and grows no graph.

usage: compiled_matches_onnxruntime.py LATHE SOURCE_DIR [MODEL]...
"""

import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper

import zoo
from small_model import small_model

# DESIGN.md section 9: max|a-b| / max|a| of the original and the compiled file in one engine.
TOLERANCE = {"float32": 1e-4, "float16": 5e-3}


def node_count(graph):
    inner = (item for node in graph.node for item in node.attribute
             if item.type == onnx.AttributeProto.GRAPH)
    return len(graph.node) + sum(node_count(item.g) for item in inner)


def check_model(binary, name, models, data, folder):
    path = os.path.join(models, name + ".onnx")
    compiled, again = (os.path.join(folder, item) for item in ("compiled.onnx", "again.onnx"))
    samples = zoo.feeds(name, models, data, 2)
    feed = os.path.join(folder, "feed.npz")
    zoo.save_feeds(feed, samples)
    zoo.lathe(binary, "compile", path, "-o", compiled, "--verify", feed, "--force", "--quiet")
    zoo.lathe(binary, "compile", compiled, "-o", again, "--verify", "off", "--force", "--quiet")
    with open(compiled, "rb") as first, open(again, "rb") as second:
        if first.read() != second.read():
            raise AssertionError("compiling once more gives other bytes")
    before = node_count(onnx.load(path, load_external_data=False).graph)
    after = node_count(onnx.load(compiled).graph)
    original, optimized = zoo.session(path, optimized=False), zoo.session(compiled)
    worst = 0.0
    for sample in samples:
        expected, got = zoo.run_session(original, sample), zoo.run_session(optimized, sample)
        worst = max(worst, *(zoo.relative_error(expected[key], got[key]) for key in expected))
    print(f"  {name}: {before} -> {after} nodes, {worst:.2e}", flush=True)
    if name.endswith("qdq"):
        return  # fused and unfused integers differ by steps; lathe verified it on its own terms
    if not worst <= TOLERANCE["float16" if name.endswith("fp16") else "float32"]:
        raise AssertionError(f"outputs differ by {worst:.3e}")
    if after > before:
        raise AssertionError(f"{after} nodes, more than {before}")


# The state of every If's body has its batch inside, caches have it in the middle.
FIXED_BATCH = {"silero_vad_v5": "If_", "gtcrn_simple": "GRU_"}


def check_float16(binary, name, models, samples, folder):
    path, half = os.path.join(models, name + ".onnx"), os.path.join(folder, "half.onnx")
    feed = os.path.join(folder, "half.npz")
    zoo.save_feeds(feed, samples)
    zoo.lathe(binary, "compile", path, "-o", half, "--float16", "--external-data", "--verify", feed,
              "--force", "--quiet")
    types = [item.data_type for item in onnx.load(half).graph.initializer]
    original, narrowed = zoo.session(path, optimized=False), zoo.session(half)
    worst = 0.0
    for sample in samples:
        expected, got = zoo.run_session(original, sample), zoo.run_session(narrowed, sample)
        worst = max(worst, *(zoo.relative_error(expected[key], got[key]) for key in expected))
    print(f"  {name}: --float16 {worst:.2e}, {types.count(onnx.TensorProto.FLOAT16)} of {len(types)} "
          "initializers", flush=True)
    if not worst <= TOLERANCE["float16"]:
        raise AssertionError(f"--float16 differs by {worst:.3e}")


def check_dynamic_batch(binary, name, models, samples, folder):
    path, freed = os.path.join(models, name + ".onnx"), os.path.join(folder, "freed.onnx")
    done = zoo.lathe(binary, "compile", path, "-o", freed, "--dynamic-batch", "--verify", "off",
                     "--force", "--quiet", check=False)
    if name in FIXED_BATCH:
        if done.returncode != 3 or FIXED_BATCH[name] not in done.stderr:
            raise AssertionError(f"--dynamic-batch: code {done.returncode}, {done.stderr}")
        print(f"  {name}: --dynamic-batch refused, {FIXED_BATCH[name]}", flush=True)
        return
    if done.returncode != 0:
        raise AssertionError(f"--dynamic-batch: code {done.returncode}, {done.stderr}")
    original, batched = zoo.session(path, optimized=False), zoo.session(freed)
    (key,) = samples[0]
    alone = [zoo.run_session(original, sample) for sample in samples]
    together = zoo.run_session(batched, {key: np.concatenate([sample[key] for sample in samples])})
    worst = max(zoo.relative_error(np.concatenate([one[out] for one in alone]), together[out])
                for out in together)
    print(f"  {name}: --dynamic-batch {worst:.2e} for {len(samples)} items", flush=True)
    if not worst <= TOLERANCE["float16" if name.endswith("fp16") else "float32"]:
        raise AssertionError(f"--dynamic-batch differs by {worst:.3e}")


def save_rows_model(path, nodes, **constants):
    """A network of rows of 4 numbers, any number of them."""
    weights = {name: np.array(value) for name, value in constants.items()}
    onnx.save(small_model(nodes, [("x", "f", ["N", 4])], [("y", ["M", 4])], weights), path)


def check_rows(binary, folder):
    """What holds for few rows only: a plan for one batch, which says so; with its shape fixed, right."""
    path, plan, feed, result = (os.path.join(folder, name) for name in
                                ("rows.onnx", "rows.lathe", "rows.npz", "rows.out.npz"))
    x = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    np.savez(feed, x=x)
    compiling = ["compile", path, "--target", "native", "-o", plan, "--force", "--quiet"]
    running = ["run", plan, "--data", feed, "-o", result, "--force"]
    save_rows_model(path, [helper.make_node("Relu", ["x"], ["a"]),
                           helper.make_node("Slice", ["a", "start", "end", "axis"], ["y"])],
                    start=[0], end=[5], axis=[0])
    zoo.lathe(binary, *compiling)
    if "plan.batch" not in zoo.lathe(binary, *running).stderr:
        raise AssertionError("a plan of batch 1 ran 10 rows without a word")
    zoo.lathe(binary, *compiling, "--input-shape", "x=10x4")
    if zoo.lathe(binary, *running).stderr:
        raise AssertionError("a plan of batch 10 warns of 10 rows")
    expected = zoo.run_session(zoo.session(path), {"x": x})["y"]
    with np.load(result) as got:
        if not np.array_equal(got["y"], expected):
            raise AssertionError(f"the first five of ten rows: {got['y'].shape}")
    save_rows_model(path, [helper.make_node("Reshape", ["x", "shape"], ["pairs"]),
                           helper.make_node("ReduceMean", ["pairs"], ["y"], axes=[1], keepdims=0)],
                    shape=[-1, 2, 4])
    done = zoo.lathe(binary, *compiling, check=False)
    if done.returncode != 3 or "--input-shape" not in done.stderr:
        raise AssertionError(f"pairs of rows at batch 1: code {done.returncode}, {done.stderr}")
    print("  rows that depend on each other: said so", flush=True)


def main():
    binary, root = sys.argv[1:3]
    models, data = zoo.shared_or_skip(root)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        check_rows(binary, folder)
        for name in sys.argv[3:] or zoo.model_names(models):
            try:
                check_model(binary, name, models, data, folder)
                samples = zoo.feeds(name, models, data, 3)
                if zoo.is_quick(name):
                    check_float16(binary, name, models, samples, folder)
                check_dynamic_batch(binary, name, models, samples, folder)
            except Exception as error:
                failed.append(name)
                print(f"FAILED {name}: {error}", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "all compiled models agree")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
