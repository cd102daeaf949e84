"""The networks of `lathe zoo` load and run in ONNX Runtime, with the results of `lathe run`.

usage: zoo_models_run.py LATHE SOURCE_DIR [NETWORK]...
"""

import os
import sys
import tempfile

import numpy as np
import onnx

import zoo

TOLERANCE = 1e-4  # max|a-b| / max|a|
# Box sizes are squares times anchors, behind 60 convolutions.
TOLERANCES = {"yolov5s": 5e-4}
# Seconds each, files below 60 MB. The others on request: resnet50 yolov5s bert_base.
NETWORKS = ("resnet18", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "crnn",
            "lstm_autoencoder", "llama_15m")
OPSETS = {"lstm_autoencoder": (7, 17, 25), "mobilenet_v3_large": (11, 17), "bert_base": (12, 20)}


def feed_for(model, batch, rng):
    feed = {}
    for item in model.get_inputs():
        shape = [size if isinstance(size, int) else batch for size in item.shape]
        if item.type == "tensor(int64)":
            feed[item.name] = rng.integers(0, 2 if item.name != "input_ids" else 30522, shape)
        else:
            feed[item.name] = rng.standard_normal(shape).astype(np.float32)
    return feed


def check_network(binary, name, opset, folder):
    path, data = os.path.join(folder, name + ".onnx"), os.path.join(folder, "feed.npz")
    result = os.path.join(folder, "out.npz")
    zoo.lathe(binary, "zoo", name, "-o", path, "--opset", opset, "--force", "--quiet")
    onnx.checker.check_model(path, full_check=True)
    model = zoo.session(path, optimized=False)
    feed = feed_for(model, 1, np.random.default_rng(0))
    np.savez(data, **feed)
    zoo.lathe(binary, "run", path, "--data", data, "-o", result, "--force", "--quiet")
    expected = zoo.run_session(model, feed)
    bound = TOLERANCES.get(name, TOLERANCE)
    with np.load(result) as got:
        for output, values in expected.items():
            if values.dtype == np.float32 and (not np.isfinite(values).all() or values.std() < 0.01):
                raise AssertionError(f"{output} is not a sane result")
            error = zoo.relative_error(values, got[output])
            print(f"  {name}, opset {opset}: {output} {error:.2e}", flush=True)
            if not error <= bound:
                raise AssertionError(f"{output}: {error:.3e} is above {bound}")
    # The batch is free.
    pair = {key: np.concatenate([array, array]) for key, array in feed.items()}
    for output, values in zoo.run_session(model, pair).items():
        if zoo.relative_error(np.concatenate([expected[output]] * 2), values) > bound:
            raise AssertionError(f"{output} differs in a batch of two")
    os.remove(path)


def main(binary, *networks):
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        for name in networks or NETWORKS:
            for opset in OPSETS.get(name, (17,)):
                try:
                    check_network(binary, name, opset, folder)
                except Exception as error:
                    failures.append(f"{name}, opset {opset}: {error}")
                    print("FAILED", failures[-1], flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *sys.argv[3:]))
