#include "calibration/image_file.h"

#include <fmt/format.h>
#include <png.h>
#include <turbojpeg.h>

#include <csetjmp>
#include <cstring>
#include <memory>

#include "calibration/resize_image.h"
#include "ir/error.h"

namespace lathe {
namespace {

constexpr std::string_view kPngMagic = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpegMagic = "\xff\xd8\xff";
constexpr size_t kMessageBytes = 160;

Error damaged(const std::string& where, std::string_view kind, std::string_view why) {
  return bad_input("data.image",
                   fmt::format("cannot decode the {}: {}", kind, escape_untrusted(why)), where);
}

void check_size(int64_t height, int64_t width, const std::string& where) {
  try {
    check_pixels(height, width);
  } catch (const Error& error) {
    throw error.within(where);
  }
}

Pixels<uint8_t> decode_jpeg(std::string_view bytes, const std::string& where) {
  struct Destroy {
    void operator()(void* handle) const { tjDestroy(handle); }
  };
  const std::unique_ptr<void, Destroy> handle(tjInitDecompress());
  if (!handle) throw InternalError("tjInitDecompress failed");
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int color_space = 0;
  const bool failed = tjDecompressHeader3(handle.get(), data, bytes.size(), &width, &height,
                                          &subsampling, &color_space) != 0;
  if (failed && tjGetErrorCode(handle.get()) == TJERR_FATAL)
    throw damaged(where, "JPEG", tjGetErrorStr2(handle.get()));
  // A file of tables alone is well-formed JPEG.
  if (width < 1 || height < 1) throw damaged(where, "JPEG", "it holds no picture");
  check_size(height, width, where);
  if (color_space == TJCS_CMYK || color_space == TJCS_YCCK)
    throw bad_input("data.image", "a CMYK picture is not read", where, "convert it to RGB");
  Pixels<uint8_t> picture{height, width, 3, {}};
  picture.values.resize(static_cast<size_t>(height) * static_cast<size_t>(width) * 3);
  // A progressive file of many scans takes long to decode: libjpeg-turbo stops at 500.
  if (tjDecompress2(handle.get(), data, bytes.size(), picture.values.data(), width, 0, height,
                    TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0) {
    const std::string why = tjGetErrorStr2(handle.get());
    // Harmless and common: some cameras pad between segments.
    const bool padding = tjGetErrorCode(handle.get()) == TJERR_WARNING &&
                         why.find("extraneous bytes") != std::string::npos;
    if (!padding) throw damaged(where, "JPEG", why);
  }
  return picture;
}

// Everything that a libpng callback or a long jump touches. No destructor runs on a jump, so the
// functions that call setjmp keep nothing else.
struct PngState {
  const char* data = nullptr;
  size_t size = 0;
  size_t at = 0;
  char message[kMessageBytes] = {};
  png_structp png = nullptr;
  png_infop info = nullptr;
  png_bytep* rows = nullptr;

  ~PngState() { png_destroy_read_struct(&png, &info, nullptr); }
};

void on_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngState*>(png_get_error_ptr(png));
  std::strncpy(state->message, message, kMessageBytes - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (count > state->size - state->at) png_error(png, "the file ends early");
  std::memcpy(out, state->data + state->at, count);
  state->at += count;
}

bool read_png_header(PngState& state) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  png_set_user_limits(state.png, 1u << 26, 1u << 26);
  png_set_chunk_malloc_max(state.png, 8u << 20);
  png_set_chunk_cache_max(state.png, 128);
  png_set_read_fn(state.png, &state, on_read);
  png_read_info(state.png, state.info);
  return true;
}

bool read_png_start(PngState& state) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  png_set_expand(state.png);
  png_set_scale_16(state.png);
  png_set_gray_to_rgb(state.png);
  png_set_strip_alpha(state.png);
  png_set_interlace_handling(state.png);
  png_read_update_info(state.png, state.info);
  return true;
}

bool read_png_rows(PngState& state) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  png_read_image(state.png, state.rows);
  png_read_end(state.png, nullptr);
  return true;
}

Pixels<uint8_t> decode_png(std::string_view bytes, const std::string& where) {
  PngState state;
  state.data = bytes.data();
  state.size = bytes.size();
  state.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
  if (state.png != nullptr) state.info = png_create_info_struct(state.png);
  if (state.info == nullptr) throw InternalError("png_create_read_struct failed");
  if (!read_png_header(state)) throw damaged(where, "PNG", state.message);
  const int64_t width = png_get_image_width(state.png, state.info);
  const int64_t height = png_get_image_height(state.png, state.info);
  check_size(height, width, where);
  if (!read_png_start(state)) throw damaged(where, "PNG", state.message);
  if (png_get_rowbytes(state.png, state.info) != static_cast<size_t>(width) * 3)
    throw damaged(where, "PNG", "its pixels do not become RGB");
  Pixels<uint8_t> picture{height, width, 3, {}};
  picture.values.resize(static_cast<size_t>(height * width * 3));
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < height; ++y) rows.push_back(picture.values.data() + y * width * 3);
  state.rows = rows.data();
  if (!read_png_rows(state)) throw damaged(where, "PNG", state.message);
  return picture;
}

}  // namespace

bool looks_like_image(std::string_view head) {
  return head.starts_with(kPngMagic) || head.starts_with(kJpegMagic);
}

Pixels<uint8_t> decode_image(std::string_view bytes, const std::string& where) {
  if (bytes.starts_with(kPngMagic)) return decode_png(bytes, where);
  if (bytes.starts_with(kJpegMagic)) return decode_jpeg(bytes, where);
  throw bad_input("data.image",
                  bytes.empty() ? "the file is empty" : "this is neither a JPEG nor a PNG file",
                  where);
}

}  // namespace lathe
