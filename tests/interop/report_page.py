"""The report page in a real browser: at the width of a phone and of a desk, light and dark.

Exit code 77, which ctest shows as skipped, when there is no Chromium.
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy
import onnx
from onnx import helper, numpy_helper

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DAY, NIGHT = "rgb(245, 246, 248)", "rgb(13, 17, 23)"
# The page in a frame of a phone's width says how wide it became, what it drew, what it fetched, and
# which table is wider than its place and cannot be scrolled.
PROBE = """<!DOCTYPE html><body><iframe id="f" width="{width}" height="800" style="border:0"
srcdoc="{page}"></iframe><script>
onload=()=>{{const w=document.getElementById('f').contentWindow,d=w.document;
const titles=[...d.querySelectorAll('figcaption')].map(c=>c.textContent.split(/[,·]/)[0].trim());
document.body.textContent='PROBE '+JSON.stringify({{wide:d.documentElement.scrollWidth,
figures:titles,sections:[...d.querySelectorAll('section')].map(s=>s.id),
fetched:w.performance.getEntriesByType('resource').length,
odd:[...d.querySelectorAll('svg text')].filter(t=>/NaN|\\binf\\b/.test(t.textContent)).length,
outside:[...d.querySelectorAll('svg text')].filter(t=>{{
const a=t.getBoundingClientRect(),b=t.closest('svg').getBoundingClientRect();
return a.left<b.left-1||a.right>b.right+1||a.bottom>b.bottom+1}}).map(t=>t.textContent),
small:[...d.querySelectorAll('svg text')].filter(t=>t.getBoundingClientRect().height<8).length,
background:w.getComputedStyle(d.body).backgroundColor}})}}</script>"""


def lathe(binary, *arguments, codes=(0,)):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode in codes, (arguments, done.returncode, done.stderr)


def probe(browser, page, width, dark, folder):
    path = os.path.join(folder, "probe.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write(PROBE.format(width=width, page=html.escape(page)))
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--user-data-dir=" + os.path.join(folder, "browser"),
         f"--blink-settings=preferredColorScheme={0 if dark else 1}",
         "--virtual-time-budget=3000", "--window-size=1400,900", "--dump-dom", "file://" + path],
        capture_output=True, text=True, timeout=180)
    found = re.search(r"<body>PROBE (\{.*\})", done.stdout)
    assert found, done.stdout[-500:] + done.stderr[-500:]
    return json.loads(html.unescape(found[1]))


# Depthwise weights of very different size, which one scale for all of them cannot hold.
def spread_model(path):
    random = numpy.random.default_rng(5)
    odd = numpy.arange(8) % 2 == 1
    factor = numpy.where(odd, 8, 1).reshape(1, 8, 1, 1).astype(numpy.float32)
    depthwise = random.standard_normal((8, 1, 3, 3)).astype(numpy.float32)
    depthwise *= numpy.where(odd, 1 / 64, 1).reshape(8, 1, 1, 1).astype(numpy.float32)
    pointwise = random.standard_normal((8, 8, 1, 1)).astype(numpy.float32) * factor
    constants = {"scale": factor, "d": depthwise, "p": pointwise}
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "scale"], ["m"], "scaled"),
         helper.make_node("Conv", ["m", "d"], ["y"], "depthwise/<b>1</b>", group=8),
         helper.make_node("Conv", ["y", "p"], ["z"], "pointwise")], "spread",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 8, 10, 10])],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [1, 8, 8, 8])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()])
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]),
              path)


# Pages by name, with the pictures and sections that each must have.
def make_pages(binary, model, folder):
    def made(name):
        return os.path.join(folder, name)

    quick = ("--threads", "1", "--iterations", "70", "--max-time", "2s")
    lathe(binary, "quantize", model, "--data", "random", "-o", made("q.onnx"), "--html",
          made("quantize.html"))
    spread_model(made("spread.onnx"))
    lathe(binary, "quantize", made("spread.onnx"), "--data", "random", "--effort", "fast",
          "--weight-granularity", "tensor", "-o", made("s.onnx"), "--html", made("diagnosed.html"))
    with open(made("diagnosed.html"), encoding="utf-8") as file:
        page = file.read()
    assert "<b>channel range spread</b>" in page, "the cause is not on the page"
    assert "<code>--weight-granularity channel</code>" in page, "what helps is not on the page"
    lathe(binary, "compile", model, "-o", made("c.onnx"), "--html", made("compile.html"))
    lathe(binary, "bench", made("q.onnx"), "--against", model, *quick, "--processes", "2",
          "--profile-ops", "--gate", "size <= 1%", "--html", made("bench.html"), codes=(4,))
    lathe(binary, "bench", model, made("q.onnx"), *quick, "--batch", "1,4", "--engine",
          "interpreter,torchscript", "--gate", "size <= 1GB", "--html", made("sweep.html"))
    return {
        "quantize": (["Loss along the network"],
                     {"plan", "models", "diagnosis", "noise", "ranges"}),
        "diagnosed": (["Loss along the network"], {"plan", "diagnosis", "noise", "ranges"}),
        "compile": ([], {"verification"}),
        "bench": (["Distribution of latency", "Time against the baseline",
                   "Ratio of each pair of blocks"],
                  {"gates", "before-after", "figures", "comparison", "ops", "measurement", "host"}),
        "sweep": (["Distribution of latency", "Latency by batch", "Throughput by batch",
                   "Size and speed"], {"gates", "figures", "cases", "measurement", "host"}),
    }


def main():
    binary, root = sys.argv[1:3]
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("the report pages were not opened: there is no Chromium here")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        pages = make_pages(binary, os.path.join(root, "scripts", "glyphs.onnx"), folder)
        for name, (figures, sections) in pages.items():
            with open(os.path.join(folder, name + ".html"), encoding="utf-8") as file:
                page = file.read()
            for width, dark in ((360, False), (390, True), (1280, False)):
                seen = probe(browser, page, width, dark, folder)
                assert seen["wide"] <= width, f"{name}: {seen['wide']} pixels wide on {width}"
                assert set(figures) <= set(seen["figures"]), (name, figures, seen["figures"])
                assert sections <= set(seen["sections"]), (name, sections, seen["sections"])
                assert seen["fetched"] == 0, f"{name} fetched something"
                assert seen["odd"] == seen["small"] == 0, (name, width, seen)
                assert not seen["outside"], (name, width, seen["outside"])
                assert seen["background"] == (NIGHT if dark else DAY), seen["background"]
            print(f"{name}: fits 360, 390 and 1280 pixels, {len(seen['figures'])} pictures")


main()
