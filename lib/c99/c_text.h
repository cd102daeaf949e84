// Pieces of C source text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

/// A C (and C++) identifier that resembles `name`: other characters become '_'; what begins with a
/// digit or '_', is empty or a keyword gets "v_" in front.
std::string c_identifier(std::string_view name);
/// The same of a name that stands alone, where macros would take its place: "v_EOF", "v_errno".
std::string c_variable(std::string_view name);
/// "math.h" and the others.
bool is_c_library_header(std::string_view name);
/// What may stand in a comment: printable ASCII in which no comment ends or begins.
std::string c_comment(std::string_view text);
/// A literal that reads back as the same float: "0.5f". Throws Error (exit 3) for NaN; infinities
/// become the greatest floats.
std::string c_float(float value);

/// What WORD_ALIGNED is, before the first array.
inline constexpr std::string_view kWordAligned =
    "#if defined(__GNUC__)\n#define WORD_ALIGNED __attribute__((aligned(4)))\n#else\n"
    "#define WORD_ALIGNED\n#endif\n";
/// "static const float NAME[3] = {1.0f, 2.0f, 3.0f};", several lines where one is too long; arrays of
/// bytes are WORD_ALIGNED.
std::string c_array(std::string_view type, std::string_view name, std::span<const int8_t> values);
std::string c_array(std::string_view type, std::string_view name, std::span<const uint8_t> values);
std::string c_array(std::string_view type, std::string_view name, std::span<const int32_t> values);
std::string c_array(std::string_view type, std::string_view name, std::span<const float> values);

}  // namespace lathe
