"""A sentence encoder with real weights, in integers: the file's size, its embeddings in ONNX Runtime
and in lathe's own engine, and how it ranks pairs of sentences. usage: sentence_encoder.py LATHE ROOT"""

import filecmp
import os
import sys
import tempfile

import numpy as np
import onnx

import zoo
from sentence_pairs import Pairs, sqnr_db

SHAPES = ["--input-shape", "input_ids=Nx64", "--input-shape", "attention_mask=Nx64"]
PAIRS = 100
# (flags, least SQNR in dB, greatest loss of Spearman's correlation, largest part of the float file,
#  what tables are made of)
CASES = {
    "dynamic": (["--mode", "dynamic"], 16.5, 0.006, 0.26, "INT8"),
    "static": (None, 21, 0.005, 0.26, "INT8"),
    "int4": (["--mode", "weight-only", "--weight-bits", "4", "--format", "matmulnbits"], 10.5, 0.01, 0.165,
             "INT4"),
}


def onnxruntime_embeddings(path, pairs):
    model = zoo.session(path)
    return np.concatenate([model.run(None, {"input_ids": pairs.ids[i:i + 1],
                                            "attention_mask": pairs.masks[i:i + 1]})[0]
                           for i in range(len(pairs.ids))])


def native_embeddings(lathe, path, pairs, folder):
    plan, data, out = (os.path.join(folder, name) for name in ("plan.lathe", "pairs.npz", "out.npz"))
    zoo.lathe(lathe, "compile", path, "-o", plan, "--target", "native", "--force", "--quiet", *SHAPES)
    np.savez(data, input_ids=pairs.ids[:, None], attention_mask=pairs.masks[:, None])
    zoo.lathe(lathe, "run", plan, "--data", data, "-o", out, "--force", "--quiet")
    with np.load(out) as file:
        return file["embedding"].reshape(len(pairs.ids), -1)


def static(encoder, folder):
    """Flags of the static case; its statistics are written first and read then."""
    return ["--data", os.path.join(encoder, "sts_calibration.npz"), "--samples", "32", "--statistics",
            os.path.join(folder, "statistics.json")]


def table_types(path):
    model = onnx.load(path)
    tables = {one.name: one.data_type for one in model.graph.initializer if np.prod(one.dims) >= 1 << 17}
    return {tables[node.input[0]] for node in model.graph.node
            if node.op_type.startswith("Gather") and node.input[0] in tables}


def main():
    lathe, root = sys.argv[1], sys.argv[2]
    models, _ = zoo.shared_or_skip(root)
    encoder = os.path.join(models, "minilm")
    source = os.path.join(encoder, "minilm_l6_v2.onnx")
    pairs = Pairs(encoder, PAIRS)
    reference = onnxruntime_embeddings(source, pairs)
    before = pairs.spearman(reference)
    with tempfile.TemporaryDirectory() as folder:
        for name, (flags, least_db, most_lost, most_bytes, table) in CASES.items():
            out = os.path.join(folder, name + ".onnx")
            if name == "static":
                flags = static(encoder, folder)
            zoo.lathe(lathe, "quantize", source, "-o", out, "--quiet", *flags, *SHAPES)
            assert table_types(out) == {onnx.TensorProto.DataType.Value(table)}, table_types(out)
            share = os.path.getsize(out) / os.path.getsize(source)
            assert share <= most_bytes, f"{name}: {share:.3f} of the size"
            for engine, got in (("ONNX Runtime", onnxruntime_embeddings(out, pairs)),
                                ("native", native_embeddings(lathe, out, pairs, folder))):
                ratio, after = sqnr_db(reference, got), pairs.spearman(got)
                print(f"{name} in {engine}: {ratio:.1f} dB, Spearman {before:.4f} -> {after:.4f}, "
                      f"{share:.3f} of the size", flush=True)
                assert ratio >= least_db and after >= before - most_lost, name
        # What calibration measured makes the same bytes again, scaled channels and tables included.
        again = os.path.join(folder, "again.onnx")
        zoo.lathe(lathe, "quantize", source, "-o", again, "--quiet", *static(encoder, folder), *SHAPES)
        assert filecmp.cmp(os.path.join(folder, "static.onnx"), again, shallow=False)


if __name__ == "__main__":
    main()
