#!/usr/bin/env python3
"""Writes lib/onnx/lower_opset_table.cpp to standard output.

    build/venv/bin/python scripts/make_opset_table.py >lib/onnx/lower_opset_table.cpp

The table says from which opset on an op exists for which element types: those of its first input
and its first output, from the schema history of the installed onnx, for the ops of
lib/ir/op_kind.h. A release of onnx that knows a new opset is the time to run it again.
"""
import pathlib
import re

import onnx
import onnx.defs

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = {f"tensor({name.lower()})": value for name, value in onnx.TensorProto.DataType.items()}
# Ops of opset 1 that left the standard; their schemas went with them.
EXPERIMENTAL = ["Affine", "Crop", "ImageScaler"]
# onnx 1.20 took the integers out of this schema after the fact; models and runtimes have them.
AS_PUBLISHED = {("Erf", 13): (0x13CFE, 0x13CFE)}


def mask(schema, values):
    """Bit n: the first of `values` may be of type n. 0: there is none, or no tensor."""
    if not values:
        return 0
    named = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    types = named.get(values[0].type_str, [values[0].type_str])
    return sum(1 << TYPES[name] for name in set(types) if name in TYPES)


def rows():
    history = {name: [] for name in EXPERIMENTAL}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            history.setdefault(schema.name, []).append(schema)
    kinds = re.findall(r"^  k(\w+),", (ROOT / "lib/ir/op_kind.h").read_text(), re.MULTILINE)
    for name in sorted(set(kinds) & set(history)):
        if name in EXPERIMENTAL:
            yield name, 1, 0, 0
        last = None
        for schema in sorted(history[name], key=lambda schema: schema.since_version):
            masks = mask(schema, schema.inputs), mask(schema, schema.outputs)
            masks = AS_PUBLISHED.get((name, schema.since_version), masks)
            if masks != last:
                yield name, schema.since_version, *masks
            last = masks


def lines():
    line = ""
    for name, since, inputs, outputs in rows():
        row = f"{{OpKind::k{name}, {since}, {inputs:#x}, {outputs:#x}}},"
        if line and len(line) + 1 + len(row) <= 100:
            yield f"{line} {row}"
            line = ""
        else:
            if line:
                yield line
            line = f"    {row}"
    if line:
        yield line


print(f"""\
// First opset of each op and of its element types, from the schema history of onnx 1.20. Bit n of a
// mask is DType n; 0 stands for any type. Made by scripts/make_opset_table.py.
#include "onnx/lower_rules.h"

namespace lathe {{
namespace {{

// clang-format off: two rows a line
constexpr OpsetRow kOpsetRows[] = {{
{chr(10).join(lines())}
}};
// clang-format on

}}  // namespace

std::span<const OpsetRow> opset_rows() {{ return kOpsetRows; }}

}}  // namespace lathe""")
