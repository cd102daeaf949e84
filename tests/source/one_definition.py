"""No two files define a type, or an inline function, of one name: the linker keeps either, silently.
Nor do two headers declare one function: of two libraries, the first one's is called.

usage: one_definition.py SOURCE_DIR

Reads the sources by their form (clang-format puts what is in a namespace at the margin). Names in
anonymous namespaces are each file's own; functions are told apart by their parameters' types.
"""

import collections
import pathlib
import re
import sys

FOLDERS = ("lib", "passes", "calibration", "profiles", "tools")
TYPE = re.compile(r"(?:struct|class|union|enum(?: class)?) (\w+)(?: final)?(?: : [^;]*)? \{")
FUNCTION = re.compile(r"(?:\[\[.*?\]\] )?(?:static )?(?:inline|constexpr) [\w:<>,&* ]*?\b(\w+)\(([^)]*)\)")

DECLARED = re.compile(r"^(?!using|template|typedef|return)[\w:][\w:<>,&* ]*?[ &*](\w+)\(([^;{}()]*)\);",
                      re.MULTILINE)


def types_of(parameters):
    """`const Graph& graph, int n = 2` as `const Graph&,int`."""
    words = (re.sub(r"\s*=.*", "", one).strip() for one in parameters.split(","))
    return ",".join(re.sub(r"(?<=[\w&*>]) *\b\w+$", "", one) for one in words)


def definitions(text):
    anonymous, template = False, False
    for line in text.split("\n"):
        if line == "namespace {":
            anonymous = True
        elif line == "}  // namespace":
            anonymous = False
        elif not anonymous and not template:
            if found := TYPE.match(line):
                yield found[1]
            elif found := FUNCTION.match(line):
                yield f"{found[1]}({types_of(found[2])})"
        template = line.startswith("template")


def declarations(text):
    """Of functions in a header, parameters over several lines, too."""
    for found in DECLARED.finditer(re.sub(r"template <[^\n]*>\n[^;{]*[;{]", "", text)):
        yield f"declaration of {found[1]}({types_of(' '.join(found[2].split()))})"


def main():
    root = pathlib.Path(sys.argv[1])
    places = collections.defaultdict(set)
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                text = path.read_text()
                for name in definitions(text):
                    places[name].add(str(path.relative_to(root)))
                for name in declarations(text) if path.suffix == ".h" else ():
                    places[name].add(str(path.relative_to(root)))
    twice = {name: files for name, files in places.items() if len(files) > 1}
    for name, files in sorted(twice.items()):
        print(f"FAILED {name} is in {', '.join(sorted(files))}")
    print(f"{len(places)} definitions, {len(twice)} of them in several files")
    sys.exit(1 if twice or not places else 0)


if __name__ == "__main__":
    main()
