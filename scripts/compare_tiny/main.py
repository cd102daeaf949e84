"""See scripts/compare_tiny.sh.

usage: main.py LATHE SHARED"""
import json
import pathlib
import subprocess
import sys

import emx

# Millions of instructions, arena and flash in kB of TFLite Micro with CMSIS-NN on the same machine,
# compiler and optimization; millions of instructions on a Cortex-M55 with its vector kernels.
TFLM = {"kws": (7.70, 22.8, 136, 1.82), "vww": (24.32, 100.7, 415, 6.78),
        "ic": (29.89, 55.0, 175, 4.94), "ad01": (0.588, 2.6, 306, 0.291)}
OTHERS = {"qemu-m4": 0, "qemu-m55": 3}
# onnx2c ea045cc with GCC 12 -O3, measured there in November 2026.
ONNX2C = {"kws": 20.3, "vww": 56.7, "ad01": 2.03}
# Version 1.4.0 computes the other two networks wrongly: up to 124 and 170 steps from ONNX Runtime's.
EMX = ("kws", "ic")


def counted(lathe, model, engine):
    done = subprocess.run([lathe, "bench", model, "--engine", engine, "--json", "--quiet"],
                          text=True, capture_output=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return None
    return json.loads(done.stdout)["cases"][0]["emulated"]


def main():
    lathe, shared = sys.argv[1], pathlib.Path(sys.argv[2])
    if not (shared / "models/tiny").is_dir():
        sys.exit(f"{shared}/models/tiny is not there: the networks of MLPerf Tiny as QDQ ONNX")
    same = True
    for engine in ("qemu-m4", "qemu-m55", "qemu-m7", "qemu-m0", "qemu-rv32"):
        print(f"\n{engine}\n")
        print("| network | M instructions | TFLM + CMSIS-NN | ratio | arena + stack, B "
              "| TFLM arena, kB | flash, kB | TFLM flash, kB | as the interpreter |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, other in TFLM.items():
            row = counted(lathe, shared / f"models/tiny/{name}_qdq.onnx", engine)
            if row is None:
                break
            outputs = row["outputs"]
            same = same and outputs["same"] == outputs["samples"]
            millions = row["instructions"] / 1e6
            theirs = other[OTHERS[engine]] if engine in OTHERS else None
            ratio = f"{theirs} | {millions / theirs:.2f}" if theirs else "- | -"
            print(f"| {name} | {millions:.3f} | {ratio} "
                  f"| {row['arena_bytes']} + {row['stack_bytes']} | {other[1]} "
                  f"| {row['flash_bytes'] / 1000:.1f} | {other[2]} "
                  f"| {outputs['same']} of {outputs['samples']} |", flush=True)
    print("\nqemu-m4, other generators of C, M instructions\n\n| network | emx-onnx-cgen | onnx2c |\n"
          "|---|---|---|")
    for name in TFLM:
        count = emx.counted(shared / f"models/tiny/{name}_qdq.onnx") if name in EMX else None
        theirs = f"{count / 1e6:.2f}" if count is not None else \
            "not there: pip install emx-onnx-cgen" if name in EMX else "wrong outputs"
        print(f"| {name} | {theirs} | {ONNX2C.get(name, '-')} |", flush=True)
    sys.exit(0 if same else 1)


main()
