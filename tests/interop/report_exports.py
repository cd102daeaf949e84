"""Each export of real bench reports, read as strictly as the tools that they are made for."""

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

KINDS = ("md", "csv", "junit", "gbench", "gha-smaller", "gha-bigger", "bmf", "openmetrics",
         "github", "github-summary")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)\{{({LABEL}(?:,{LABEL})*)\}} ({NUMBER})")


def bench(binary, folder, name, arguments, codes):
    files = {kind: os.path.join(folder, f"{name}.{kind}") for kind in KINDS}
    report = os.path.join(folder, name + ".json")
    exports = [part for kind in KINDS for part in ("--export", f"{kind}={files[kind]}")]
    done = subprocess.run([binary, "bench", *arguments, "--report", report, *exports],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode in codes, (arguments, done.returncode, done.stderr)
    texts = {}
    for kind in KINDS:
        with open(files[kind], encoding="utf-8", newline="") as file:
            texts[kind] = file.read()
    with open(report, encoding="utf-8") as file:
        return json.load(file), texts


def medians(report):
    return {row["id"]: row["latency"]["median"]["value"] for row in report["cases"]
            if isinstance(row["latency"]["median"], dict)}


def check_csv(report, text):
    assert text.endswith("\r\n")
    rows = list(csv.DictReader(text.splitlines(), strict=True))
    assert all(None not in row and None not in row.values() for row in rows)
    assert [row["case"] for row in rows] == [row["id"] for row in report["cases"]]
    for row in rows:
        expected = medians(report).get(row["case"])
        assert row["median_ns"] == "" if expected is None else math.isclose(
            float(row["median_ns"]), expected)


# What gbench/report.py of google/benchmark 1.7 takes, and github-action-benchmark's "googlecpp".
def check_gbench(report, text):
    made = json.loads(text)
    assert isinstance(made["context"]["caches"], list)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", made["context"]["date"])
    rows = made["benchmarks"]
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names) == len(report["cases"])
    for row, case in zip(rows, report["cases"]):
        assert row["run_type"] == "iteration" and row["time_unit"] in ("ns", "us", "ms", "s")
        assert row["repetitions"] == 1 and row["threads"] == 1
        if "error_occurred" in row:
            assert case["id"] not in medians(report) and row["error_message"]
        else:
            assert row["iterations"] > 0
            # One thread uses no more than one CPU.
            assert 0 < row["cpu_time"] <= 1.05 * row["real_time"], row
            assert row["real_time"] == medians(report)[case["id"]]


def check_charts(report, smaller, bigger):
    seen = set()
    for rows in (json.loads(smaller), json.loads(bigger)):
        for row in rows:
            assert set(row) <= {"name", "unit", "value", "range", "extra"}
            assert isinstance(row["value"], (int, float)) and math.isfinite(row["value"])
            assert isinstance(row["name"], str) and isinstance(row["unit"], str) and row["unit"]
            assert row["name"] not in seen, row["name"]
            seen.add(row["name"])
    assert sum(name.endswith(" latency") for name in seen) == len(medians(report))
    assert sum(name.endswith(" throughput") for name in seen) == len(medians(report))


def check_bmf(report, text):
    made = json.loads(text)
    for measures in made.values():
        for measure, values in measures.items():
            assert re.fullmatch(r"[a-z0-9.-]+", measure), measure
            assert set(values) <= {"value", "lower_value", "upper_value"}
            if "lower_value" in values:
                assert values["lower_value"] <= values["value"] <= values["upper_value"]
    latencies = [values["latency"]["value"] for values in made.values() if "latency" in values]
    assert sorted(latencies) == sorted(medians(report).values())


# The grammar of OpenMetrics 1.0 for gauges and infos: families whole, a series once, then the end.
def check_openmetrics(report, text):
    assert text.endswith("\n# EOF\n") and "\r" not in text
    kinds, series, current = {}, {}, None
    for line in text.split("\n")[:-2]:
        found = re.fullmatch(r"# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
        if found:
            if found[1] == "TYPE":
                assert found[2] not in kinds, f"{found[2]} comes twice"
                kinds[found[2]] = found[3]
                current = found[2]
            assert found[2] == current, line
            if found[1] == "UNIT":
                assert current.endswith("_" + found[3]), line
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        assert found[1] == current + ("_info" if kinds[current] == "info" else ""), line
        assert (found[1], found[2]) not in series, line
        series[found[1], found[2]] = float(found[3])
    found = [value for (name, labels), value in series.items()
             if name == "lathe_latency_seconds" and 'statistic="median"' in labels]
    assert len(found) == len(medians(report))
    for value, expected in zip(sorted(found), sorted(medians(report).values())):
        assert math.isclose(value, expected / 1e9, rel_tol=1e-9)


def check_junit(report, path, root):
    suite = ElementTree.parse(path).getroot().find("testsuite")
    tests = suite.findall("testcase")
    gates = report["gates"]
    assert int(suite.get("tests")) == len(tests) == len(gates) + (1 if "error" in report else 0)
    for kind, verdict in (("failure", "fail"), ("skipped", "inconclusive")):
        wanted = sum(gate["verdict"] == verdict for gate in gates)
        assert len(suite.findall("testcase/" + kind)) == wanted, kind
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
    assert int(suite.get("errors")) == len(suite.findall("testcase/error"))
    assert all(test.get("classname") and test.get("name") for test in tests)
    schema = os.path.join(root, "tests", "report", "junit.xsd")
    subprocess.run(["xmllint", "--noout", "--schema", schema, path], check=True,
                   capture_output=True)


def annotations(text):
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(error|warning) title=([^:,\r\n]*)::(.*)", line)
        assert match, line
        for part in match.group(2, 3):  # each % begins an escape
            assert re.fullmatch(r"(?:[^%]|%25|%0D|%0A|%3A|%2C)*", part), line
        found.append(match.groups())
    return found


def check_annotations(report, text):
    found = annotations(text)
    gates = [gate for gate in report["gates"] if gate["verdict"] in ("fail", "inconclusive")]
    assert len(found) == min(10, len(gates) + (1 if "error" in report else 0)), found
    failed = sum(gate["verdict"] == "fail" for gate in gates)
    assert sum(level == "error" for level, _, _ in found) == min(10, failed) or "error" in report


# What the page draws: all samples, every pair of blocks.
def check_figures(report):
    for row in report["cases"]:
        if row["samples"]["n"] == 0:
            continue
        histogram = row["samples"]["histogram"]
        assert histogram["scale"] == "log" and 0 < len(histogram["bins"]) <= 101
        assert sum(count for _, _, count in histogram["bins"]) == row["samples"]["n"], row["id"]
        assert histogram["bins"][0][0] <= row["latency"]["min"] + 0.6
        assert histogram["bins"][-1][1] >= row["latency"]["max"] - 0.6
    for row in report.get("comparison", {}).get("cases", []):
        pairs = sum(map(len, row["block_ratios"]))
        assert pairs == row["pairs"] > 0, (pairs, row["pairs"])
        assert len(row["block_ratios"]) == row.get("processes", 1)


def main():
    binary, root = sys.argv[1:3]
    model = os.path.join(root, "scripts", "glyphs.onnx")
    quick = ["--threads", "1", "--iterations", "70", "--max-time", "2s"]
    with tempfile.TemporaryDirectory() as folder:
        int8 = os.path.join(folder, "a,b=ü%.onnx")
        subprocess.run([binary, "quantize", model, "--data", "random", "-o", int8, "--quiet"],
                       check=True)
        broken = os.path.join(folder, "broken.onnx")
        with open(broken, "w", encoding="utf-8") as file:
            file.write("no model")
        runs = {
            "compared": ([int8, "--against", model, *quick, "--gate", "size <= 1%",
                          "--gate", "p99 < 9s"], (4,)),
            "processes": ([int8, "--against", model, *quick, "--processes", "2", "--gate",
                           "size <= 99%"], (0,)),
            "sweep": ([model, int8, broken, *quick, "--batch", "1,2", "--engine",
                       "interpreter,torchscript", "--gate", "median < 9s"], (4,)),
            "error": ([broken, *quick], (3,)),
        }
        for name, (arguments, codes) in runs.items():
            report, texts = bench(binary, folder, name, arguments, codes)
            report.setdefault("cases", [])
            check_figures(report)
            check_csv(report, texts["csv"])
            check_gbench(report, texts["gbench"])
            check_charts(report, texts["gha-smaller"], texts["gha-bigger"])
            check_bmf(report, texts["bmf"])
            check_openmetrics(report, texts["openmetrics"])
            check_annotations(report, texts["github"])
            check_junit(report, os.path.join(folder, name + ".junit"), root)
            assert texts["md"].startswith("## ") and texts["github-summary"].startswith("## ")
            print(f"{name}: {len(report['cases'])} cases, {len(report['gates'])} gates")


if shutil.which("xmllint") is None:
    sys.exit("xmllint is missing: scripts/install_packages.sh --tests")
main()
