"""A text decoder with a window of keys and values, 32 tokens one after the other: what `lathe run`
carries from token to token is what ONNX Runtime is fed by hand, in float, dynamic int8 and int4.

usage: decoder_steps.py LATHE SOURCE_DIR
"""

import os
import sys
import tempfile

import numpy as np

import zoo

STEPS = 32
CARRY = {"past_key": "present_key", "past_value": "present_value", "position_ids": "next_position_ids"}
# (flags of quantize, engines, least SQNR in dB between them and ONNX Runtime on the same file, least
# against float). Integers that round at other places take other ways from token to token.
CASES = {
    "float": (None, ("interpreter", "native"), 90, 90),
    "dynamic": (["--mode", "dynamic"], ("interpreter", "native"), 20, 15),
    "int4": (["--mode", "weight-only", "--weight-bits", "4", "--format", "matmulnbits"],
             ("interpreter", "native"), 20, 8),
}


def first_state(model):
    types = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    return {one.name: np.zeros([size if isinstance(size, int) else 1 for size in one.shape], types[one.type])
            for one in model.get_inputs() if one.name in CARRY}


def by_hand(path, tokens):
    model = zoo.session(path)
    state, logits = first_state(model), []
    for token in tokens:
        outputs = zoo.run_session(model, {"input_ids": token, **state})
        state = {name: outputs[output] for name, output in CARRY.items()}
        logits.append(outputs["logits"])
    return np.stack(logits)


def carried(lathe, path, data, engine, folder):
    out = os.path.join(folder, "out.npz")
    zoo.lathe(lathe, "run", path, "--data", data, "-o", out, "--engine", engine, "--force", "--quiet")
    with np.load(out) as file:
        assert file["next_position_ids"].ravel().tolist() == list(range(1, STEPS + 1))
        return file["logits"]


def main(lathe, root):
    del root
    tokens = np.random.default_rng(0).integers(0, 32000, (STEPS, 1, 1))
    with tempfile.TemporaryDirectory() as folder:
        source, data = os.path.join(folder, "float.onnx"), os.path.join(folder, "tokens.npz")
        zoo.lathe(lathe, "zoo", "llama_15m", "-o", source, "--quiet")
        np.savez(data, input_ids=tokens)
        reference = by_hand(source, tokens)
        for name, (flags, engines, least_same, least) in CASES.items():
            path = os.path.join(folder, name + ".onnx")
            if flags is not None:
                zoo.lathe(lathe, "quantize", source, "-o", path, "--quiet", *flags)
            expected = by_hand(path, tokens)
            worth = zoo.sqnr_db([reference], [expected])
            assert worth >= least, f"{name}: {worth:.1f} dB"
            for engine in engines:
                same = zoo.sqnr_db([expected], [carried(lathe, path, data, engine, folder)])
                print(f"{name}, {engine}: {same:.1f} dB of ONNX Runtime, {worth:.1f} dB of float", flush=True)
                assert same >= least_same, f"{name}, {engine}: {same:.1f} dB"
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
