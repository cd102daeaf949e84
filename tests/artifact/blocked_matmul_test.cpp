// Float matrix products by oneDNN: right, and the same bytes for any number of
// threads.
#include "onednn/blocked_matmul.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "matmul_case.h"
#include "onednn/onednn_api.h"

namespace lathe {

using test::check_matmul;
using test::check_products;

namespace {

/// Every block is in one place, and none is empty.
int64_t count(int64_t outer, int64_t rows, int64_t depth, int64_t columns) {
  const ProductBlocks blocks = product_blocks(outer, rows, depth, columns);
  CHECK((blocks.rows == rows || blocks.rows % 64 == 0));
  CHECK((blocks.columns == columns || blocks.columns % 64 == 0));
  CHECK(std::min(blocks.rows, blocks.columns) > 0);
  CHECK(blocks.rows <= rows);
  CHECK(blocks.columns <= columns);
  return outer * ((rows + blocks.rows - 1) / blocks.rows) *
         ((columns + blocks.columns - 1) / blocks.columns);
}

}  // namespace

TEST_CASE("a product is cut by its shape alone, into blocks worth a thread") {
  CHECK(count(1, 4, 64, 4) == 1);
  CHECK(count(12, 128, 64, 128) == 12);
  CHECK(count(1, 128, 768, 3072) == 16);
  CHECK(count(1, 3072, 768, 128) == 16);
  CHECK(count(1, 128, 768, 768) == 4);
  CHECK(count(2, 1000, 1000, 1000) == 8);
  CHECK(count(1, 1, int64_t{1} << 20, 1) == 1);
}

TEST_CASE("GEMM: the same bytes for any number of threads, and right") {
  check_products(kOnednnGemm);
}

// Sums that oneDNN divides among threads.
TEST_CASE("brgemm: the same bytes for any number of threads, and right") {
  check_matmul({"one row", {{1, 3000}, {3000, 1}}, {{3000, 100}, {100, 1}}, {1, 100}, true, true},
               "");
  check_matmul({"turned rows", {{16, 4096}, {1, 16}}, {{4096, 80}, {80, 1}}, {16, 80}, true, true},
               "");
  check_matmul({"a row of a column", {{1, 3000}, {1, 1}}, {{3000, 100}, {100, 1}}, {1, 100}}, "");
  check_matmul({"very long", {{4, 25088}, {25088, 1}}, {{25088, 10}, {10, 1}}, {4, 10}, true, true},
               "");
}

}  // namespace lathe
