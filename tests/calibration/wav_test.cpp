#include <doctest/doctest.h>

#include "calibration/wav.h"
#include "error_of.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

std::string little(uint32_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

std::string wav(uint32_t encoding, uint32_t channels, uint32_t bits, const std::string& samples) {
  const std::string format = little(encoding, 2) + little(channels, 2) + little(16000, 4) +
                             little(16000 * bits / 8, 4) + little(bits / 8, 2) + little(bits, 2);
  return "RIFF" + little(0, 4) + "WAVE" + "LIST" + little(3, 4) + "abc\0" + std::string(1, '\0') +
         "fmt " + little(16, 4) + format + "data" +
         little(static_cast<uint32_t>(samples.size()), 4) + samples;
}

}  // namespace

TEST_CASE("wav: 16-bit PCM, silence before the start") {
  const ScratchDirectory folder;
  const Wav file =
      open_wav(folder.write("x.wav", wav(1, 1, 16, std::string("\0\x40\0\x80\xff\x7f", 6))));
  CHECK(file.samples == 3);
  CHECK(file.sample_rate == 16000);
  CHECK(read_wav(file, -2, 4) == std::vector<double>{0, 0, 0.5, -1});
  CHECK(read_wav(file, -5, 2) == std::vector<double>{0, 0});
  CHECK(error_of([&] { read_wav(file, 1, 3); }) == "data.wav 3");
}

TEST_CASE("wav: floats") {
  const ScratchDirectory folder;
  const Wav file =
      open_wav(folder.write("x.wav", wav(3, 1, 32, std::string("\0\0\x80\x3f\0\0\0\xbf", 8))));
  CHECK(read_wav(file, 0, 2) == std::vector<double>{1, -0.5});
}

TEST_CASE("wav: what is not read") {
  const ScratchDirectory folder;
  const auto read = [&](const std::string& bytes) {
    return error_of([&] { open_wav(folder.write("x.wav", bytes)); });
  };
  CHECK(read(wav(1, 2, 16, "abcd")) == "data.wav_format 3");
  CHECK(read(wav(6, 1, 8, "abcd")) == "data.wav_format 3");
  CHECK(read(wav(1, 1, 16, "abc")) == "data.wav 3");
  const std::string good = wav(1, 1, 16, "abcd");
  for (size_t size = 0; size < good.size(); ++size) CHECK(read(good.substr(0, size)) != "");
}

}  // namespace lathe
