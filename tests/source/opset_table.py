"""lib/onnx/lower_opset_table.cpp is what its generator makes of onnx 1.20.

usage: opset_table.py SOURCE_DIR
"""
import difflib
import pathlib
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
made = subprocess.run([sys.executable, "-B", root / "scripts/make_opset_table.py"], check=True,
                      capture_output=True, text=True).stdout
there = (root / "lib/onnx/lower_opset_table.cpp").read_text()
difference = list(difflib.unified_diff(there.splitlines(), made.splitlines(), "committed", "made",
                                       lineterm="", n=0))
sys.exit("\n".join(difference) or 0)
