// Graphs as text, for dumps and tests.
#pragma once

#include <string>
#include <string_view>

#include "ir/model.h"

namespace lathe {

/// A listing close to ONNX's text syntax: one node a line, in graph.order(), with the types that
/// are known behind it; each constant stands before its first reader, so that the text does not
/// depend on the order of values. Constants beyond 8 elements are cut and end with a checksum of
/// all their bytes. Equal text means equal graphs up to order of constants, doc strings and
/// metadata. Names are escaped for a terminal.
std::string text_form(const Graph& graph);

/// A model from ONNX's own text syntax, brought into the internal form (libonnx 1.12's parser:
/// opsets above 17 parse too, as the parser knows no ops). Throws Error (exit 3) with its message.
Model parse_text(std::string_view text);

}  // namespace lathe
