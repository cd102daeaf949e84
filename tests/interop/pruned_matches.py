"""Every float model and network of `lathe zoo`, pruned by 30 % of its channels, loads in ONNX
Runtime and computes what lathe computes; or the command names what was in the way.

usage: pruned_matches.py LATHE SOURCE_DIR [MODEL|zoo:NETWORK]...
"""

import json
import os
import sys
import tempfile

import numpy as np
import onnx

import zoo
from quantized_loads_everywhere import ALREADY_QUANTIZED, signature, stored_bytes
from zoo_models_run import NETWORKS, feed_for

# Nothing in them can be removed channel by channel: hidden units of an LSTM, bodies of If, or
# normalizations over the channels that are written out.
BLOCKED = {"lstm_autoencoder", "silero_vad_v5", "magika_standard_v3_3", "zoo:lstm_autoencoder"}
# Float16 arithmetic of the file itself, done by other kernels.
TOLERANCE = {"SqueezeNet_fp16": 2e-2}


def pruned(binary, path, output, *more):
    return zoo.lathe(binary, "prune", path, "-o", output, "--structure", "channel", "--sparsity",
                     "30%", "--latency", "off", "--json", "--force", *more, check=False)


def model_and_feed(binary, name, models, data, folder):
    """Path of the model, and a function that gives one feed for it."""
    if not name.startswith("zoo:"):
        return (os.path.join(models, name + ".onnx"),
                lambda: zoo.feeds(name, models, data, 1)[0])
    path = os.path.join(folder, name[4:] + ".onnx")
    zoo.lathe(binary, "zoo", name[4:], "-o", path, "--force", "--quiet")
    return path, lambda: feed_for(zoo.session(path, optimized=False), 1, np.random.default_rng(0))


def check_model(binary, name, models, data, folder):
    """What is wrong with the model, as a list of sentences."""
    path, feed_of = model_and_feed(binary, name, models, data, folder)
    output = os.path.join(folder, name.replace(":", "_") + ".pruned.onnx")
    result = pruned(binary, path, output)
    report = json.loads(result.stdout)
    if name in BLOCKED:
        message = report["error"]["message"] if report.get("error") else ""
        print(f"  {name}: blocked: {message[:150]}", flush=True)
        if result.returncode != 3 or "prune" not in str(report["error"]):
            return [f"code {result.returncode}, {result.stderr.strip()[:200]}"]
        return []
    if result.returncode != 0:
        return [f"code {result.returncode}: {result.stderr.strip()[:300]}"]
    wrong = []
    onnx.checker.check_model(output, full_check=True)
    if signature(path) != signature(output):
        wrong.append(f"inputs or outputs changed: {signature(path)}, {signature(output)}")
    share = stored_bytes(output) / stored_bytes(path)
    if not share < 1:
        wrong.append(f"the file is not smaller: {share:.3f}")
    feed = feed_of()
    feeds = os.path.join(folder, "feeds.npz")
    zoo.save_feeds(feeds, [feed])
    outputs = os.path.join(folder, "outputs.npz")
    zoo.lathe(binary, "run", output, "--data", feeds, "-o", outputs, "--force")
    reference = zoo.run_session(zoo.session(output, optimized=False), feed)
    worst = 0.0
    with np.load(outputs) as computed:
        for key, value in reference.items():
            got = computed[key].reshape(value.shape)
            scale = max(np.abs(value).max(initial=0), 1e-6)
            worst = max(worst, float(np.abs(got.astype(np.float64) - value).max(initial=0) / scale))
    if not worst <= TOLERANCE.get(name, 1e-3):
        wrong.append(f"ONNX Runtime and lathe differ by {worst:.2e}")
    plan = report["plan"]
    kept = sum(group["kept"] for group in plan["groups"])
    size = sum(group["size"] for group in plan["groups"])
    print(f"  {name}: {kept} of {size} channels, {plan['blocked']} groups left alone, "
          f"{share:.2f} of the size, {worst:.1e}", flush=True)
    return wrong


def main():
    binary, root = sys.argv[1:3]
    models, data = zoo.shared_or_skip(root)
    names = sys.argv[3:] or ([name for name in zoo.model_names(models)
                              if name not in ALREADY_QUANTIZED] +
                             ["zoo:" + name for name in NETWORKS])
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            try:
                wrong = check_model(binary, name, models, data, folder)
            except Exception as error:  # ONNX Runtime and onnx have exceptions of their own
                wrong = [f"{type(error).__name__}: {error}"]
            for sentence in wrong:
                print(f"FAILED {name}: {sentence}", flush=True)
            if wrong:
                failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all pruned models load and agree")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
