"""Measures lathe compile beside onnxsim: nodes left, seconds, peak memory, equal outputs.

Both read the same file with their defaults and no other input shapes. onnxsim checks nothing unless
asked, so lathe is measured with `--verify off`; what it takes with its verification stands beside.
Each run is a process of its own: seconds are its wall time from start to end; onnxsim's without
Python's imports stands beside. Memory is the largest resident set the kernel saw. Nodes are those of
the graph and of all bodies inside it, Constant nodes included.

usage: compare_simplifiers.py LATHE SOURCE_DIR [MODEL]...
       compare_simplifiers.py --onnxsim MODEL OUT SECONDS_FILE      (one such process)
"""

import json
import os
import sys
import tempfile
import time

# As everywhere: max|a-b| / max|a| between two runs of one engine.
TOLERANCE = 1e-4
TOLERANCE_FLOAT16 = 5e-3
TOLERANCE_INTEGER = 2e-2


def simplify_with_onnxsim(model, out, seconds_file):
    """Its own command line, with every default."""
    from onnxsim.onnx_simplifier import main as onnxsim_main
    started = time.monotonic()
    sys.argv = ["onnxsim", model, out]
    onnxsim_main()
    with open(seconds_file, "w") as file:
        json.dump(time.monotonic() - started, file)


def node_count(graph):
    import onnx
    inner = [body for node in graph.node for item in node.attribute
             for body in ([item.g] if item.type == onnx.AttributeProto.GRAPH else item.graphs)]
    return len(graph.node) + sum(node_count(body) for body in inner)


def seeded_feeds(session, count):
    """Normal numbers, zeros and ones for integers; unknown dimensions are 1."""
    import numpy as np
    types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
    rng = np.random.default_rng(1)
    feeds = []
    for _ in range(count):
        feed = {}
        for item in session.get_inputs():
            shape = [dim if isinstance(dim, int) and dim > 0 else 1 for dim in item.shape]
            if item.type in types:
                feed[item.name] = np.asarray(rng.standard_normal(shape), types[item.type])
            else:
                kind = item.type[len("tensor("):-1]
                feed[item.name] = np.asarray(rng.integers(0, 2, shape), np.dtype(kind))
        feeds.append(feed)
    return feeds


def tolerance_for(path):
    import onnx
    model = onnx.load(path, load_external_data=False)
    if any(node.op_type.endswith("QuantizeLinear") for node in model.graph.node):
        return TOLERANCE_INTEGER
    half = onnx.TensorProto.FLOAT16
    if any(item.type.tensor_type.elem_type == half for item in model.graph.input):
        return TOLERANCE_FLOAT16
    return TOLERANCE


def agreement(original, changed, feeds, tolerance, zoo):
    """"2.1e-07", or what is wrong: every value of the outputs, without ONNX Runtime's own passes."""
    try:
        session = zoo.session(changed, optimized=False)
        worst = 0.0
        for feed in feeds:
            got = zoo.run_session(session, feed)
            for name, value in zoo.run_session(original, feed).items():
                worst = max(worst, zoo.relative_error(value, got[name]))
    except Exception as error:
        return "FAILED: " + " ".join(str(error).split())[:80]
    return f"{worst:.1e}" + ("" if worst <= tolerance else " DIFFERS")


class Row:
    """One tool on one model."""

    def __init__(self, out, command):
        from compare_quantization import measured
        self.out, self.failure = out, None
        try:
            self.cost = measured(command)
        except SystemExit as error:
            self.cost, self.failure = None, str(error)

    def nodes(self):
        import onnx
        if self.failure:
            return None
        return node_count(onnx.load(self.out, load_external_data=False).graph)


def compare(lathe, name, path, feeds, zoo, folder):
    import onnx
    original = zoo.session(path, optimized=False)
    feeds = feeds or seeded_feeds(original, 2)
    tolerance = tolerance_for(path)
    before = node_count(onnx.load(path, load_external_data=False).graph)
    paths = {tool: os.path.join(folder, f"{tool}.onnx") for tool in ("onnxsim", "lathe", "verified")}
    own = os.path.join(folder, "seconds.json")
    other = Row(paths["onnxsim"], [sys.executable, "-B", os.path.abspath(__file__), "--onnxsim", path,
                                   paths["onnxsim"], own])
    plain = [lathe, "compile", path, "--force", "--quiet", "-o"]
    ours = Row(paths["lathe"], plain + [paths["lathe"], "--verify", "off"])
    verified = Row(paths["verified"], plain + [paths["verified"]])
    counts = other.nodes(), ours.nodes()
    cells = [name, str(before)] + [str(count) if count is not None else "-" for count in counts]
    for row in (other, ours):
        cells.append(f"{row.cost['seconds']:.2f}" if row.cost else "failed")
        if row is other:
            with open(own) if row.cost else open(os.devnull) as file:
                cells.append(f"{json.load(file):.2f}" if row.cost else "-")
        else:
            cells.append(f"{verified.cost['seconds']:.2f}" if verified.cost else "failed")
    cells += [f"{row.cost['peak_bytes'] / 1e6:.0f}" if row.cost else "-" for row in (other, ours)]
    for row in (other, ours):
        cells.append(row.failure.strip().splitlines()[-1][:80] if row.failure else
                     agreement(original, row.out, feeds, tolerance, zoo))
    print("| " + " | ".join(cells) + " |", flush=True)
    return counts


def main(lathe, root, *given):
    sys.path.insert(0, os.path.join(root, "tests", "interop"))
    import zoo
    if given:
        subjects = [(os.path.basename(path), path, None) for path in given]
    else:
        models, data = zoo.shared_or_skip(root)
        subjects = [(name, os.path.join(models, name + ".onnx"),
                     lambda name=name: zoo.feeds(name, models, data, 2))
                    for name in zoo.model_names(models)]
    import onnxsim
    print(f"onnxsim {onnxsim.__version__}; load of the machine {os.getloadavg()[0]:.1f}\n")
    print("| model | nodes | onnxsim | lathe | seconds: onnxsim | without imports | lathe | with "
          "verification | peak MB: onnxsim | lathe | outputs: onnxsim | lathe |")
    print("|---" * 12 + "|")
    above, below = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, path, feeds in subjects:
            theirs, ours = compare(lathe, name, path, feeds and feeds(), zoo, folder)
            if ours is None or (theirs is not None and ours > theirs):
                above.append(name)
            elif theirs is None or ours < theirs:
                below.append(name)
    print(f"\nlathe leaves fewer nodes on {len(below)} of {len(subjects)}, as many on "
          f"{len(subjects) - len(below) - len(above)}" +
          (f", more on: {', '.join(above)}" if above else ", more on none"))
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    if sys.argv[1] == "--onnxsim":
        simplify_with_onnxsim(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
