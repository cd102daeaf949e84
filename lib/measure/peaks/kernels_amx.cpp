// AMX: products of tiles, sixteen rows of 64 bytes each (Intel SDM, volume 1, chapter 18).
#if defined(__x86_64__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "peaks/kernels.h"

namespace lathe {
namespace {

constexpr size_t kRows = 16;
constexpr size_t kRowBytes = 64;

/// As LDTILECFG reads it.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};  // of the eight tiles
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64);
constexpr TileConfiguration kEightTiles;

/// One tile: 1.0 in bfloat16, and as bytes no zeros either.
constexpr std::array<uint16_t, kRows * kRowBytes / 2> filled() {
  std::array<uint16_t, kRows * kRowBytes / 2> ones{};
  for (uint16_t& one : ones) one = 0x3f80;
  return ones;
}
alignas(64) constexpr auto kFactors = filled();

// Sums enough to hide the latency (52 cycles, a product takes 16); tiles 6 and 7 are the factors.
constexpr int64_t kSums = 6;
constexpr int64_t kByteOperations = kSums * 2 * kRows * kRows * kRowBytes;
constexpr int64_t kBfloat16Operations = kByteOperations / 2;

__attribute__((target("amx-tile"))) void load_tiles() {
  _tile_loadconfig(&kEightTiles);
  _tile_loadd(6, kFactors.data(), kRowBytes);
  _tile_loadd(7, kFactors.data(), kRowBytes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
}

__attribute__((target("amx-tile,amx-int8"))) void byte_tiles(int64_t steps) {
  load_tiles();
  for (; steps > 0; --steps) {
    _tile_dpbssd(0, 6, 7);
    _tile_dpbssd(1, 6, 7);
    _tile_dpbssd(2, 6, 7);
    _tile_dpbssd(3, 6, 7);
    _tile_dpbssd(4, 6, 7);
    _tile_dpbssd(5, 6, 7);
  }
  _tile_release();
}

__attribute__((target("amx-tile,amx-bf16"))) void bfloat16_tiles(int64_t steps) {
  load_tiles();
  for (; steps > 0; --steps) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_release();
}

/// Linux gives a process the registers of the tiles when it asks for them (5.16 and later).
bool has_permission() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

std::vector<ComputeKernel> amx_compute_kernels() {
  std::vector<ComputeKernel> kernels;
  // cpu_supports asks cpuid, and xgetbv whether the system keeps these registers.
  if (!__builtin_cpu_supports("amx-tile") || !has_permission()) return kernels;
  if (__builtin_cpu_supports("amx-int8"))
    kernels.push_back({"int8", "tdpbssd", kByteOperations, byte_tiles});
  if (__builtin_cpu_supports("amx-bf16"))
    kernels.push_back({"bfloat16", "tdpbf16ps", kBfloat16Operations, bfloat16_tiles});
  return kernels;
}

}  // namespace lathe

#endif
