#include "calibration/wav.h"

#include <fmt/format.h>

#include <cstring>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr int kPcm = 1;
constexpr int kFloat = 3;
constexpr int kExtensible = 0xfffe;

template <class T>
T little_endian(const std::vector<std::byte>& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

Error malformed_wav(const std::string& where, std::string what) {
  return bad_input("data.wav", std::move(what), where);
}

void read_format(Wav& wav, const std::vector<std::byte>& chunk) {
  int encoding = little_endian<uint16_t>(chunk, 0);
  const int channels = little_endian<uint16_t>(chunk, 2);
  const int bits = little_endian<uint16_t>(chunk, 14);
  // The first two bytes of the extensible form's GUID are the encoding proper.
  if (encoding == kExtensible && chunk.size() >= 26) encoding = little_endian<uint16_t>(chunk, 24);
  wav.sample_rate = little_endian<uint32_t>(chunk, 4);
  wav.is_float = encoding == kFloat && bits == 32;
  if (!wav.is_float && !(encoding == kPcm && bits == 16))
    throw bad_input("data.wav_format",
                    fmt::format("encoding {} with {} bits is not read", encoding, bits), wav.where,
                    "convert it to 16-bit PCM or 32-bit float");
  if (channels != 1)
    throw bad_input("data.wav_format", fmt::format("{} channels, one is read", channels), wav.where,
                    "convert it to mono");
  if (wav.sample_rate == 0) throw malformed_wav(wav.where, "the sample rate is 0");
}

}  // namespace

Wav open_wav(const std::string& path) {
  const DataFile file = DataFile::open(path);
  Wav wav;
  wav.where = shown_path(path);
  wav.read = file.reader();
  std::vector<std::byte> head(12);
  file.read(0, head);
  if (std::memcmp(head.data(), "RIFF", 4) != 0 || std::memcmp(head.data() + 8, "WAVE", 4) != 0)
    throw malformed_wav(wav.where, "this is no WAVE file");
  bool has_format = false;
  for (uint64_t at = 12; at + 8 <= file.size();) {
    head.resize(8);
    file.read(at, head);
    const uint64_t size = little_endian<uint32_t>(head, 4);
    at += 8;
    if (size > file.size() - at) throw malformed_wav(wav.where, "the file is truncated");
    if (std::memcmp(head.data(), "fmt ", 4) == 0) {
      if (size < 16 || size > 4096)
        throw malformed_wav(wav.where, "the fmt chunk has a wrong size");
      std::vector<std::byte> chunk(static_cast<size_t>(size));
      file.read(at, chunk);
      read_format(wav, chunk);
      has_format = true;
    } else if (std::memcmp(head.data(), "data", 4) == 0) {
      if (!has_format) throw malformed_wav(wav.where, "the data chunk comes before the fmt chunk");
      const uint64_t width = wav.is_float ? 4 : 2;
      if (size % width != 0) throw malformed_wav(wav.where, "the data chunk ends inside a sample");
      wav.samples = static_cast<int64_t>(size / width);
      wav.offset = at;
      return wav;
    }
    at += size + (size & 1);
  }
  throw malformed_wav(wav.where, "there is no data chunk");
}

std::vector<double> read_wav(const Wav& wav, int64_t first, int64_t count) {
  if (count < 0 || first > wav.samples - count)
    throw malformed_wav(wav.where, "read past the last sample");
  std::vector<double> out(static_cast<size_t>(count), 0.0);
  const int64_t silent = first < 0 ? std::min(-first, count) : 0;
  const size_t width = wav.is_float ? 4 : 2;
  std::vector<std::byte> bytes(static_cast<size_t>(count - silent) * width);
  if (!bytes.empty()) wav.read(wav.offset + static_cast<uint64_t>(first + silent) * width, bytes);
  for (size_t i = 0; i < bytes.size() / width; ++i)
    out[static_cast<size_t>(silent) + i] =
        wav.is_float ? static_cast<double>(little_endian<float>(bytes, 4 * i))
                     : little_endian<int16_t>(bytes, 2 * i) / 32768.0;
  return out;
}

}  // namespace lathe
