"""`lathe run` computes what ONNX Runtime computes, on every shared model.

usage: run_matches_onnxruntime.py LATHE SOURCE_DIR [MODEL]...
"""

import json
import os
import sys
import tempfile

import numpy as np

import pictures
import zoo

# DESIGN.md section 9: max|a-b| / max|a|.
TOLERANCE = {"float32": 1e-4, "float16": 5e-3}
# Rounding to 8 bits jumps, so two correct executions are compared by SQNR.
MIN_SQNR_DB = {"pcb_simple_cnn_qdq": 25.0}
# Their feeds cover more than one state or class; the others are heavier and get one.
FEEDS = {"silero_vad_v5": 3, "gtcrn_simple": 3, "magika_standard_v3_3": 3, "lstm_autoencoder": 3,
         "pcb_simple_cnn_qdq": 8, "mnist_cntk_op8": 4, "cifar10_resnet_2b": 4}


def check_model(binary, name, models, data, folder):
    path = os.path.join(models, name + ".onnx")
    model = zoo.session(path, optimized=False)
    samples = zoo.feeds(name, models, data, FEEDS.get(name, 1))
    feed, result = os.path.join(folder, "feed.npz"), os.path.join(folder, "out.npz")
    zoo.save_feeds(feed, samples)
    zoo.lathe(binary, "run", path, "--data", feed, "-o", result, "--force", "--quiet")
    expected = [zoo.run_session(model, sample) for sample in samples]
    with np.load(result) as got:
        names = [output.name for output in model.get_outputs()]
        if list(got.files) != names:
            raise AssertionError(f"outputs are {list(got.files)}, not {names}")
        for output in names:
            reference = [item[output] for item in expected]
            reference = reference[0] if len(reference) == 1 else np.stack(reference)
            if got[output].dtype != reference.dtype:
                raise AssertionError(f"{output} is {got[output].dtype}, not {reference.dtype}")
            error = zoo.relative_error(reference, got[output])
            floor = MIN_SQNR_DB.get(name)
            if floor is not None:
                sqnr = zoo.sqnr_db([reference], [got[output]])
                print(f"  {name}: {output} {sqnr:.1f} dB, largest {error:.2e}", flush=True)
                if sqnr < floor:
                    raise AssertionError(f"{output}: {sqnr:.1f} dB is below {floor}")
                continue
            bound = TOLERANCE["float16" if name.endswith("fp16") else "float32"]
            print(f"  {name}: {output} {error:.2e}", flush=True)
            if not error <= bound:
                raise AssertionError(f"{output}: {error:.3e} is above {bound}")
        if name == "cct_2_32_op20":
            with np.load(os.path.join(models, name + ".outputs.npz")) as published:
                for output in published.files:
                    difference = np.abs(published[output] - got[output]).max()
                    print(f"  {name}: {output} against the published output {difference:.1e}")
                    if not difference <= 1e-6:
                        raise AssertionError(f"{output} differs from the published by {difference}")


def check_carried_states(binary, models, data, folder):
    """A spec with `carry` feeds the states back as a loop over ONNX Runtime does."""
    path = os.path.join(models, "silero_vad_v5.onnx")
    count = 40
    spec = os.path.join(folder, "speech.json")
    with open(spec, "w") as file:
        json.dump({"format": "wav", "path": os.path.abspath(os.path.join(data, "speech/test.wav")),
                   "inputs": {"input": {"window": 512, "stride": 512, "context": 64},
                              "sr": {"value": 16000}},
                   "limit": count, "carry": {"state": "stateN"}}, file)
    result = os.path.join(folder, "speech.npz")
    zoo.lathe(binary, "run", path, "--data", spec, "-o", result, "--quiet")
    # What stands before the first window is silence.
    samples = np.concatenate([np.zeros(64, np.float32), pictures.speech(data)])
    frames = [{"input": samples[i * 512:i * 512 + 576][None]} for i in range(count)]
    inputs = {"state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000, np.int64)}
    fed = zoo.carried(path, frames, inputs, {"stateN": "state"})
    model = zoo.session(path, optimized=False)
    expected = np.stack([zoo.run_session(model, feed)["output"] for feed in fed])
    with np.load(result) as got:
        error = zoo.relative_error(expected, got["output"])
    print(f"  silero_vad_v5 over {count} frames with carried state: {error:.2e}")
    if not error <= 1e-4:
        raise AssertionError(f"the carried state departs: {error:.3e}")


def main():
    binary, root = sys.argv[1:3]
    models, data = zoo.shared_or_skip(root)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[3:] or zoo.model_names(models):
            try:
                check_model(binary, name, models, data, folder)
            except AssertionError as error:
                failed.append(name)
                print(f"FAILED {name}: {error}", flush=True)
        if not sys.argv[3:]:
            try:
                check_carried_states(binary, models, data, folder)
            except AssertionError as error:
                failed.append("carried states")
                print(f"FAILED carried states: {error}", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "all agree with ONNX Runtime")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
