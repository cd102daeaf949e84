"""Every key of a device profile is read by something besides its reader.

usage: profile_keys.py SOURCE_DIR

A field that nothing reads looks like a feature. Fields are looked up by the names that variables of
their struct have in the sources.
"""
import pathlib
import re
import sys

FOLDERS = ("lib", "passes", "calibration", "profiles", "tools")
READER = ("profiles/read_profile.cpp", "profiles/profile.h")
VARIABLES = {
    "TensorFormat": "activations|weights|format",
    "PrecisionConfig": "config|configs|choice|plan|best",
    "PrecisionRules": "precision|rules",
    "CpuProfile": "cpu",
    "RuntimeProfile": "runtime",
    "MemoryProfile": "memory",
    "LatencyClass": "each",
    "TargetProfile": "targets",
    "ExecutionProfile": "execution|profile",
    "PowerMode": "mode",
    "RateProfile": "rates",
    "Profile": "profile|device|own|base|best",
}

root = pathlib.Path(sys.argv[1])
text = "\n".join(path.read_text() for folder in FOLDERS for path in sorted((root / folder).rglob("*"))
                 if path.suffix in (".cpp", ".h") and str(path.relative_to(root)) not in READER)
header = (root / "profiles/profile.h").read_text()
structs = dict(re.findall(r"^struct (\w+) \{\n(.*?)^\};", header, re.S | re.M))
assert structs.keys() == VARIABLES.keys(), structs.keys() ^ VARIABLES.keys()
unread = []
for name, body in structs.items():
    fields = re.findall(r"^  [\w:<>, ]+ (\w+)(?: = [^;]+)?;", body, re.M)
    assert fields, name
    for field in fields:
        if not re.search(rf"\b({VARIABLES[name]})_?(\[\w+\])?(\.|->){field}\b", text):
            unread.append(f"{name}::{field}")
sys.exit("nothing reads " + ", ".join(unread) if unread else 0)
