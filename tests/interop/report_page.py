"""The report page in a real browser at the width of a phone and of a desk, and JUnit by its schema."""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The page in a frame of a phone's width says how wide it became and how many pictures it drew.
PROBE = """<!DOCTYPE html><body><iframe id="f" width="{width}" height="800" style="border:0"
srcdoc="{page}"></iframe><script>
onload=()=>{{const d=document.getElementById('f').contentDocument;
document.body.textContent='PROBE '+d.documentElement.scrollWidth+' '+
d.querySelectorAll('svg').length+' '+d.querySelectorAll('section').length+' '+
d.defaultView.getComputedStyle(d.body).backgroundColor}}</script>"""


def lathe(binary, *arguments, codes=(0,)):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode in codes, (arguments, done.returncode, done.stderr)


def probe(browser, page, width, folder):
    path = os.path.join(folder, "probe.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write(PROBE.format(width=width, page=html.escape(page)))
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--user-data-dir=" + os.path.join(folder, "browser"),
         "--virtual-time-budget=3000", "--window-size=1400,900", "--dump-dom", "file://" + path],
        capture_output=True, text=True, timeout=180)
    found = re.search(r"PROBE (\d+) (\d+) (\d+) (rgb\([^)]*\))", done.stdout)
    assert found, done.stdout[-500:] + done.stderr[-500:]
    return int(found[1]), int(found[2]), int(found[3]), found[4]


def check_junit(path, root):
    suite = ElementTree.parse(path).getroot().find("testsuite")
    tests = suite.findall("testcase")
    assert int(suite.get("tests")) == len(tests) > 0
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) > 0
    assert all(test.get("classname") and test.get("name") for test in tests)
    if shutil.which("xmllint") is None:
        return print("junit: structure only, no xmllint here")
    schema = os.path.join(root, "tests", "report", "junit.xsd")
    subprocess.run(["xmllint", "--noout", "--schema", schema, path], check=True, capture_output=True)
    print("junit: valid by its schema")


def main():
    binary, root = sys.argv[1:3]
    model = os.path.join(root, "scripts", "glyphs.onnx")
    with tempfile.TemporaryDirectory() as folder:
        def made(name):
            return os.path.join(folder, name)

        lathe(binary, "quantize", model, "--data", "random", "-o", made("q.onnx"), "--html",
              made("quantize.html"))
        lathe(binary, "compile", model, "-o", made("c.onnx"), "--html", made("compile.html"))
        lathe(binary, "bench", made("q.onnx"), "--against", model, "--max-time", "3s", "--gate",
              "size <= 1%", "--html", made("bench.html"), "--export", "junit=" + made("gates.xml"),
              codes=(4,))
        check_junit(made("gates.xml"), root)
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is None:
            return print("pages: not opened, no Chromium here")
        for name, pictures in (("quantize", 0), ("compile", 0), ("bench", 1)):
            with open(made(name + ".html"), encoding="utf-8") as file:
                page = file.read()
            for width in (360, 390, 1280):
                wide, drawn, sections, background = probe(browser, page, width, folder)
                assert wide <= width, f"{name}: {wide} pixels wide on {width}"
                assert drawn >= pictures and sections >= 3, (name, drawn, sections)
                assert background in ("rgb(245, 246, 248)", "rgb(13, 17, 23)"), background
            print(f"{name}: fits 360, 390 and 1280 pixels, {drawn} pictures")


main()
