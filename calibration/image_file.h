// JPEG (libturbojpeg) and PNG (libpng) files as 8-bit RGB, as Pillow's open().convert("RGB").
#pragma once

#include <string>
#include <string_view>

#include "calibration/pixels.h"

namespace lathe {

constexpr uint64_t kMaxImageFileBytes = uint64_t{256} << 20;

/// The kind is told by the first bytes, not by the name. JPEG: accurate DCT, fancy upsampling; grey
/// is repeated; CMYK is refused; EXIF rotation is not applied. PNG: palettes are expanded, 16 bits
/// scaled to 8, alpha is dropped, gamma and profiles are not applied. Three channels.
/// Throws Error that names `where`: exit 3 for damage (also a truncated end) and unknown kinds,
/// exit 8 over kMaxPixels, judged by the header before memory is taken.
Pixels<uint8_t> decode_image(std::string_view bytes, const std::string& where);

/// Whether the first bytes are those of a JPEG or PNG file.
bool looks_like_image(std::string_view head);

}  // namespace lathe
