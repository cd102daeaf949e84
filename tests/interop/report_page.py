"""The report page in a real browser: what it draws of each kind of report, at the width of a phone
and of a desk, light and dark.

Exit code 77, which ctest shows as skipped, when there is no Chromium.
"""

import copy
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
EVIL = "</style></script><script>document.title=1</script>\"'><img src=x onerror=document.title=1>"
# Each frame says how wide it became, what it drew, what it fetched, and which text is not to be
# seen whole.
PROBE = """<!DOCTYPE html><body>{frames}<script>
const seen=f=>{{const w=f.contentWindow,d=w.document,all=s=>[...d.querySelectorAll(s)];
const words=s=>all(s).map(e=>e.textContent.trim());
const box=e=>e.getBoundingClientRect();
return {{wide:d.documentElement.scrollWidth,
figures:words('figcaption').map(t=>t.split(/[,·]/)[0].trim()),
sections:all('section').map(s=>s.id),tiles:words('.tiles li'),
words:Object.fromEntries(all('section').map(s=>[s.id,
[...s.querySelectorAll('h2,th,td,p,li,summary,caption,figcaption,text,desc')]
.map(e=>e.textContent.trim())])),
titles:all('[title]').map(e=>e.title),
order:all('th[scope=row]').map(e=>e.textContent),
paths:all('svg path').map(p=>p.getAttribute('class')),
styles:all('[style]').map(e=>e.getAttribute('style')),
odd:words('main *').filter(t=>/NaN|Infinity|\\binf\\b|undefined|\\[object/.test(t)),
bad:all('main script,main img,svg:not([aria-label])').length+words('title')
.filter(t=>t==='1'||!t).length,
failed:words('.note').filter(t=>t.startsWith('This part of the report cannot')),
fetched:w.performance.getEntriesByType('resource').length,
outside:all('svg text').filter(t=>{{const a=box(t),b=box(t.closest('svg'));
return a.left<b.left-1||a.right>b.right+1||a.bottom>b.bottom+1}}).map(t=>t.textContent),
small:all('svg text').filter(t=>t.checkVisibility()&&box(t).height<8).length,
background:w.getComputedStyle(d.body).backgroundColor}}}};
onload=()=>{{document.body.textContent='PROBE '+
JSON.stringify([...document.querySelectorAll('iframe')].map(seen))}}</script>"""


def lathe(binary, *arguments, codes=(0,)):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode in codes, (arguments, done.returncode, done.stderr)


def probe(browser, folder, pages, width, dark=False):
    """What is seen of each of the pages, in frames of this width."""
    path = os.path.join(folder, "probe.html")
    frames = "".join(f'<iframe width="{width}" height="800" style="border:0" '
                     f'srcdoc="{html.escape(page)}"></iframe>' for page in pages)
    with open(path, "w", encoding="utf-8") as file:
        file.write(PROBE.format(frames=frames))
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--user-data-dir=" + os.path.join(folder, "browser"),
         f"--blink-settings=preferredColorScheme={0 if dark else 1}",
         "--virtual-time-budget=10000", "--window-size=1400,900", "--dump-dom", "file://" + path],
        capture_output=True, text=True, timeout=600)
    found = re.search(r"<body>PROBE (\[.*\])", done.stdout)
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
    lathe(binary, "compile", model, "-o", made("c.onnx"), "--html", made("compile.html"))
    lathe(binary, "prune", model, "--structure", "channel", "--sparsity", "30%", "-o",
          made("p.onnx"), "--html", made("prune.html"))
    lathe(binary, "compare", model, made("q.onnx"), "--data", "random", "--report",
          made("compare.json"))
    lathe(binary, "bench", made("q.onnx"), "--against", model, *quick, "--processes", "2",
          "--profile-ops", "--gate", "size <= 1%", "--html", made("bench.html"), codes=(4,))
    lathe(binary, "bench", model, made("q.onnx"), *quick, "--batch", "1,4", "--engine",
          "interpreter,torchscript", "--gate", "size <= 1GB", "--html", made("sweep.html"))
    return {
        "quantize": (["Loss along the network"],
                     {"plan", "models", "diagnosis", "noise", "ranges"}),
        "diagnosed": (["Loss along the network"], {"plan", "diagnosis", "noise", "ranges"}),
        "compile": ([], {"verification"}),
        "compare": ([], {"models", "host"}),
        "prune": ([], {"sizes", "latency", "kept"}),
        "bench": (["Distribution of latency", "Time against the baseline",
                   "Ratio of each pair of blocks"],
                  {"gates", "before-after", "figures", "comparison", "ops", "measurement", "host"}),
        "sweep": (["Distribution of latency", "Latency by batch", "Throughput by batch",
                   "Size and speed"], {"gates", "figures", "cases", "measurement", "host"}),
    }


# A page is one template: with another report in it, it is that report's page.
def page_of(template, report):
    data = json.dumps(report).replace("<", "\\u003c")
    page, n = re.subn(r'(id="data">).*?(</script>)', lambda m: m[1] + data + m[2], template,
                      flags=re.DOTALL)
    assert n == 1
    return page


def stage(name, value, seconds):
    return {"stage": name, "metric": "top1", "value": value, "drop": 0.763 - value,
            "output_sqnr_db": 3.25 if name == "removed" else None, "samples": 10000,
            "seconds": seconds}


# A ResNet to half of its multiply-adds: everything that prune can say.
def prune_report(groups=9):
    names = [f"/layer{i // 4 + 1}/conv{i % 4 + 1}/Conv" for i in range(groups)]
    sizes = [16 << min(i // 4, 5) for i in range(groups)]
    kept = [size - size * (i % 7 + 1) // 10 for i, size in enumerate(sizes)]
    return {
        "run": {"command": "prune"}, "verdict": "pass",
        "plan": {
            "structure": "channel", "criterion": "l1", "scope": "global", "cost_share": 0.4985,
            "target": {"kind": "budget", "metric": "macs", "share": 0.5}, "weights": [],
            "groups": [{"group": name, "description": f"{name} ({size} channels)", "size": size,
                        "kept": k, "reason": "", "prunable": True, "note": ""}
                       for name, size, k in zip(names, sizes, kept)] +
                      [{"group": "conv_in", "size": 16, "kept": 16, "prunable": False,
                        "reason": "reaches the output logits", "note": ""}]},
        "repair": [{"node": name, "node_type": "Conv", "rows": 50000, "note": "",
                    "method": "bias" if i % 5 == 4 else "least-squares",
                    "error_before": 0.6 / (i + 1), "error_after": 0.05 / (i + 1)}
                   for i, name in enumerate(names)],
        "sensitivity": {"metric": "top1", "dense": 0.763, "rows": [
            {"group": name, "size": size, "sparsity": step / 10,
             "value": 0.763 - 0.6 * (step / 10) ** (2 + i % 3) / (1 + i % 8)}
            for i, (name, size) in enumerate(zip(names, sizes)) for step in range(1, 10)]},
        "stages": [stage("dense", 0.763, 3.1), stage("removed", 0.42, 0.4),
                   stage("repaired", 0.707, 21), stage("fine-tuned", 0.742, 240)],
        "sizes": {"before": {"params": 272474, "macs": 41227520, "file_bytes": 1101004,
                             "arena_bytes": 262144},
                  "after": {"params": 142210, "macs": 20551168, "file_bytes": 579866,
                            "arena_bytes": None, "arena_bytes_reason": "a shape is not known"}},
        "latency": [{"engine": "torchscript", "threads": 1, "before_ns": 4.1e6, "after_ns": 2.5e6,
                     "speedup": 1.64, "ci95": [1.59, 1.7], "simulated": False, "note": ""},
                    {"engine": "x86-64-vnni", "threads": 1, "before_ns": 9e5, "after_ns": 5e5,
                     "speedup": 1.8, "ci95": None, "simulated": True, "note": "rates"}],
        "training": {"teacher": True, "labels": True, "seconds": 238.4, "samples_per_s": 2100,
                     "best_epoch": 8,
                     "epochs": [{"loss": 1.2 / (i + 1) + 0.3, "learning_rate": 1e-3 * (1 - i / 10),
                                 "metric": 0.742 - 0.03 / (i + 1)} for i in range(10)],
                     "sparsity": [{"step": 100 * i, "sparsity": 0.5 * i / 20} for i in range(21)]},
        "notes": ["2 groups reach outputs whose shapes stay."]}


# One model against another: two engines at two batches each.
def sweep_report():
    report = {"verdict": "fail", "run": {"command": "bench"}, "cases": [],
              "models": {"q": {"path_basename": "q.onnx", "sha256": "a", "file_bytes": 1000},
                         "against": {"path_basename": "m.onnx", "sha256": "b",
                                     "file_bytes": 4000}},
              "comparison": {"mode": "interleaved", "cases": []},
              "gates": [{"id": "size < 2kB", "metric": "size", "op": "<", "limit": 2000,
                         "observed": 1000, "verdict": "fail" if i == 7 else "pass"}
                        for i in range(8)]}
    for engine in ("interpreter", "torchscript"):
        for batch in (1, 4):
            name = f"q/batch{batch}/{engine}"
            row = {"id": name, "engine": engine, "batch": batch, "model_sha256": "a",
                   "size_bytes": 1000, "quality": {"metric": "top1", "value": 0.9},
                   "samples": {"n": 3, "histogram": {"bins": [[1e6, 2e6, 2], [4e6, 5e6, 1]]}},
                   "pareto": {"latency_bytes_quality": batch == 1},
                   "latency": {"median": 1e6 * batch, "min": 9e5, "max": 5e6},
                   "throughput": {"items_per_s": 1000}}
            against = copy.deepcopy(row)
            against.update(id="against/" + name, model_sha256="b", size_bytes=4000, pareto=None)
            against["latency"]["median"] = 2e6 * batch
            report["cases"] += [row, against]
            report["comparison"]["cases"].append(
                {"id": name, "verdict": "improved", "block_ratios": [[0.5, 0.6, 0.4]],
                 "ratio": {"value": 0.5, "ci95": [0.4, 0.6]}})
    return report


# What got slower, operator by operator.
def blamed_report():
    report = sweep_report()
    report["gates"] = [{"id": "speed", "metric": "median", "verdict": "fail", "observed": 2e6,
                        "limit": 1e6, "op": "<=", "case": "q/batch1/interpreter"}]
    report["comparison"]["cases"][0].update(
        blame=[{"sentence": "1 Conv takes 0.10x the time", "delta_ns": -900},
               {"sentence": "1 inserted QuantizeLinear costs 9.0 %", "delta_ns": 90}],
        op_deltas=[{"name": "c1", "type": "Conv", "delta_ns": -900},
                   {"name": "r1", "type": "Relu", "delta_ns": -10, "into": "c1"},
                   {"name": "q<1>", "type": "QuantizeLinear", "delta_ns": 90,
                    "change": "inserted"}])
    return report


# The report with every text in it replaced.
def poisoned(value):
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return EVIL if isinstance(value, str) else value


def without_metric():
    report = prune_report()
    report["plan"] = {"structure": "element", "groups": [], "weights": [
        {"node": "conv1", "constant": "w1", "elements": 1000, "zeros": 700},
        {"node": "conv2", "constant": "w2", "elements": 3000, "zeros": 0},
        {"node": "empty", "constant": "w3", "elements": 0, "zeros": 0}]}
    for row in report["stages"]:
        row.update(metric=None, value=None, drop=None, output_sqnr_db=30)
    return report


def large_report():
    report = prune_report(150)
    report["plan"]["groups"] += 20 * report["plan"]["groups"][-1:]
    report["training"]["sparsity"] = [{"step": i, "sparsity": i / 100000} for i in range(100000)]
    return report


def busy_report():
    report = prune_report()
    report["latency"][0]["after_ns"] = 4.2e6
    return report


def with_quality(metrics):
    report = prune_report()
    report["quality"] = [{"metric": metric, "before": 0.763, "after": 0.742, "drop": 0.021,
                          "samples": 10000} for metric in metrics]
    return report


PRUNE = {"stages": "stages", "sizes": "sizes", "latency": "latency", "notes": "notes",
         "plan": "kept", "repair": "repair", "sensitivity": "sensitivity", "training": "training"}
# Report, what its sections must say, and what they must not.
DRAWN = {
    "prune": (prune_report(), [
        "42 %", "5.60 points", "3.2 dB", "41.23 M", "49.8 %", "1.64x (1.59–1.7)", "4 min 0 s",
        "torchscript", "x86-64-vnni simulated", "Loss by epoch", "From 1.5 at 1 to 0.42 at 10.",
        "top1 by epoch, dotted: the dense model", "Sparsity while training",
        "10 epochs, taught by the dense model and labels, 3 min 58 s, 2100 samples/s, the best "
        "epoch is 9 (the upright line).", "reaches the output logits",
        "Worst layers before and after repair: the dot is what is left",
        "Layers by method: bias 1, least-squares 8.", "The most sensitive groups · top1",
        "1 group was left alone.", "2 groups reach outputs whose shapes stay.",
        "Structure channel, criterion l1, scope global; asked for at most 50 % of macs, 49.9 % is "
        "left."], ["times and ratio disagree: the machine was busy"]),
    "sweep": (sweep_report(), [
        "q, interpreter, batch 4", "Ratio of each pair of blocks, torchscript, batch 1 · "
        "model / baseline", "Size and speed · median", "Pareto front", "7 gates hold",
        "0.5x, improved", "1000 B", "✗ fail"], ["Quality and speed · median"]),
    "blamed": (blamed_report(), [
        "1 Conv takes 0.10x the time", "r1 Relu fused into c1", "−900 ns", "+90 ns",
        "q<1> QuantizeLinear inserted", "slower: 1 inserted QuantizeLinear costs 9.0 %"], []),
    "busy": (busy_report(), ["times and ratio disagree: the machine was busy"], []),
    "without metric": (without_metric(), [
        "700 of 4\u202f000 weights are zero (17.5 %).", "70 %", "30.0 dB"], ["empty"]),
    "large": (large_report(), [
        "126 more groups", "138 less sensitive groups", "21 groups were left alone",
        "From 0 % at 0 to 100 % at 99999."], []),
    "quality said": (with_quality(["top1"]), [], ["Quality"]),
    "more quality": (with_quality(["top1", "top5"]), ["Quality", "2.10 points"], []),
    "evil prune": (poisoned(prune_report()), [EVIL], []),
    "evil sweep": (poisoned(sweep_report()), [EVIL], []),
}


def check_words(browser, folder, template):
    pages = [page_of(template, report) for report, _, _ in DRAWN.values()]
    seen = dict(zip(DRAWN, probe(browser, folder, pages, 360)))
    for name, (_, must, must_not) in DRAWN.items():
        found = seen[name]
        check_sound(name, found)
        said = {words for section in found["words"].values() for words in section}
        for words in must:
            assert words in said, (name, words)
        for words in must_not:
            assert words not in said, (name, words)
    prune = seen["prune"]
    assert set(PRUNE.values()) <= set(prune["sections"]), prune["sections"]
    assert "a shape is not known" in prune["titles"]
    assert "line k5" in prune["paths"], "six curves"
    rows = prune["words"]["sensitivity"]
    assert rows.index("/layer1/conv1/Conv") < rows.index("/layer1/conv2/Conv"), "the worst first"
    assert "least median1 msinterpreter, batch 1" in seen["sweep"]["tiles"], seen["sweep"]["tiles"]
    assert any("width:50.00%" in style for style in seen["without metric"]["styles"])
    gates = seen["sweep"]["words"]["gates"]
    assert gates.index("✗ fail") < gates.index("7 gates hold"), "what fails comes first"


# A part that is absent has no section; one of another type hides no other.
def check_odd(browser, folder, template):
    reports = []
    for key in PRUNE:
        for odd in (None, {}, 5, [None, 5, "x", {}], {"rows": [None], "groups": 5}):
            reports.append((key, odd, {**prune_report(), key: odd}))
    for key in ("cases", "comparison", "gates", "models", "warnings"):
        for odd in (5, [None, 5, "x", {}], {"cases": [None, {}], "against": 5}):
            reports.append((key, odd, {**sweep_report(), key: odd}))
    pages = [page_of(template, report) for _, _, report in reports]
    for (key, odd, _), found in zip(reports, probe(browser, folder, pages, 360)):
        check_sound((key, odd), found)
        if key in PRUNE and not odd:
            assert PRUNE[key] not in found["sections"], (key, odd)
    # An error in one section is said there.
    broken = template.replace("function notes() {", "function notes() { null.x;")
    found, = probe(browser, folder, [page_of(broken, prune_report())], 360)
    assert len(found["failed"]) == 1 and set(PRUNE.values()) <= set(found["sections"]), found
    print(f"{len(pages)} odd reports are drawn")


def check_sound(name, found):
    assert found["sections"] and found["sections"][-1] == "run", (name, found["sections"])
    assert not found["failed"], (name, found["failed"])
    assert not found["odd"], (name, found["odd"])
    assert found["fetched"] == found["bad"] == 0, (name, found["fetched"], found["bad"])


# `pages` by name, with the pictures and sections that each must have.
def check_sizes(browser, folder, pages):
    for width, dark in ((360, False), (390, True), (1280, False)):
        every = probe(browser, folder, [page for page, _, _ in pages.values()], width, dark)
        for (name, (_, figures, sections)), seen in zip(pages.items(), every):
            check_sound(name, seen)
            assert seen["wide"] <= width, f"{name}: {seen['wide']} pixels wide on {width}"
            assert set(figures) <= set(seen["figures"]), (name, figures, seen["figures"])
            assert sections <= set(seen["sections"]), (name, sections, seen["sections"])
            assert seen["small"] == 0 and not seen["outside"], (name, width, seen["outside"])
            assert seen["background"] == (NIGHT if dark else DAY), seen["background"]
    for name, seen in zip(pages, every):
        print(f"{name}: fits 360, 390 and 1280 pixels, {len(seen['figures'])} pictures")
    rows = every[list(pages).index("diagnosed")]["words"]["diagnosis"]
    assert any(row.startswith("channel range spread: ") for row in rows), rows
    assert "--weight-granularity channel" in rows, rows


def main():
    binary, root = sys.argv[1:3]
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("the report pages were not opened: there is no Chromium here")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        def content(name):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                return file.read()

        pages = make_pages(binary, os.path.join(root, "scripts", "glyphs.onnx"), folder)
        template = content("compile.html")
        with open(os.path.join(folder, "compare.html"), "w", encoding="utf-8") as file:
            file.write(page_of(template, json.loads(content("compare.json"))))
        check_sizes(browser, folder, {name: (content(name + ".html"), *wanted)
                                      for name, wanted in pages.items()})
        check_words(browser, folder, template)
        check_odd(browser, folder, template)


main()
