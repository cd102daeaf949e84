// Integer products: rows of pixels are gathered, and tiles of the output divided among threads.
#include <fmt/format.h>

#include <algorithm>

#include "program/bound_step.h"
#include "program/parallel_for.h"
#include "program/pixel_grid.h"

namespace lathe {
namespace {

/// A multiple of the rows of all tiles.
constexpr int64_t kRowsOfBlock = 48;

/// Rows in tiles of nearly the same size.
struct Tiles {
  Tiles() = default;
  Tiles(int64_t rows, int64_t most)
      : all(rows), count((rows + most - 1) / most), least(rows / count), larger(rows % count) {}
  int64_t rows(int64_t tile) const { return least + (tile < larger ? 1 : 0); }

  int64_t all = 0;
  int64_t count = 0;
  int64_t least = 0;
  int64_t larger = 0;
};

/// Pixel number p of all images lies at p times the pixel pitch.
bool has_uniform_pitch(const PixelGrid& grid) {
  return (grid.height == 1 || grid.row_pitch == grid.width * grid.pixel_pitch) &&
         (grid.images == 1 || grid.image_pitch == grid.height * grid.width * grid.pixel_pitch);
}

class BoundProduct : public BoundStep {
 public:
  BoundProduct(const ProductStep& step, const BindContext& context)
      : threads_(context.threads),
        window_(step.window),
        from_(pixel_grid(context.view(step.input), step.axis)),
        to_(pixel_grid(context.view(step.output), step.axis)),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        residual_(context.address(step.epilogue.residual)),
        epilogue_(product_epilogue(step.epilogue, context)) {
    const PlanView& weights = context.view(step.weights);
    const int64_t columns = weights.shape[0] / step.groups;
    taps_ = weights.shape[1];
    const int64_t depth = weights.shape[2];
    depth_ = (depth + 3) / 4 * 4;
    group_depth_ = depth;
    group_columns_ = columns;
    epilogue_.float_output = context.view(step.output).dtype == DType::kFloat32;
    element_bytes_ = epilogue_.float_output ? 4 : 1;
    if (step.epilogue.residual.valid())
      residual_pitch_ = pixel_grid(context.view(step.epilogue.residual), step.axis).uniform_pitch();
    to_pitch_ = to_.uniform_pitch();
    for (int64_t g = 0; g < step.groups; ++g) groups_.push_back(packed_group(step, context, g));
    padding_.assign(static_cast<size_t>(depth_), step.padding);
    skips_padding_ = step.padding == 0 && taps_ > 1;
    rows_ = to_.images * to_.height * to_.width;
    blocks_ = std::max<int64_t>((rows_ + kRowsOfBlock - 1) / kRowsOfBlock, 1);
    panels_ = product_panels(groups_.front());
    reads_in_turn_ = taps_ == 1 && window_.stride_height == 1 && window_.stride_width == 1 &&
                     window_.pad_top == 0 && window_.pad_left == 0 &&
                     rows_ == from_.images * from_.height * from_.width && has_uniform_pitch(from_);
    pixels_.resize(static_cast<size_t>(threads_ * taps_ * (kRowsOfBlock + kMaxProductRows)));
    bytes_ = rows_ * (taps_ * depth_ + columns) * step.groups;
  }

  std::string_view implementation() const override { return groups_.front().name; }

  void run(const ProgramMemory& memory) override {
    const auto* input = reinterpret_cast<const uint8_t*>(input_.in(memory));
    std::byte* output = output_.in(memory);
    const uint8_t* residual =
        residual_.valid() ? reinterpret_cast<const uint8_t*>(residual_.in(memory)) : nullptr;
    const auto groups = static_cast<int64_t>(groups_.size());
    const auto panels = static_cast<int64_t>(panels_.size());
    parallel_for(threads_, groups * blocks_ * panels, bytes_,
                 [&](int thread, int64_t begin, int64_t end) {
                   run_units(thread, begin, end, input, output, residual);
                 });
  }

 private:
  PackedProduct packed_group(const ProductStep& step, const BindContext& context,
                             int64_t group) const {
    ProductWeights weights{context.constant<int8_t>(step.weights), group_columns_, taps_,
                           group_depth_, epilogue_.float_output};
    weights.values += group * group_columns_ * taps_ * group_depth_;
    const std::string layout =
        fmt::format("product {} {} {} {} {}", static_cast<int>(context.isa), weights.columns,
                    weights.taps, weights.depth, weights.float_output ? "float" : "byte");
    const std::shared_ptr<const std::byte[]> packed = context.packed.get(
        context.packed_key(step.weights, group, layout), packed_product_bytes(context.isa, weights),
        [&](std::byte* to) {
          pack_product_weights(context.isa, weights, reinterpret_cast<int8_t*>(to));
        });
    const int64_t first = group * group_columns_;
    return pack_product(context.isa, weights, context.constant<float>(step.scale) + first,
                        context.constant<float>(step.bias) + first,
                        {packed, reinterpret_cast<const int8_t*>(packed.get())});
  }

  // Units are ordered by group, block of rows, panel: one block's pixels serve all panels.
  void run_units(int thread, int64_t begin, int64_t end, const uint8_t* input, std::byte* output,
                 const uint8_t* residual) {
    const uint8_t** pixels = pixels_.data() + thread * taps_ * (kRowsOfBlock + kMaxProductRows);
    const auto panels = static_cast<int64_t>(panels_.size());
    Tiles tiles;
    for (int64_t unit = begin; unit < end;) {
      const int64_t block = unit / panels % blocks_;
      const int64_t group = unit / panels / blocks_;
      const int64_t first = rows_ * block / blocks_;
      const int64_t count = rows_ * (block + 1) / blocks_ - first;
      int64_t panel = unit % panels;
      const int64_t last = std::min(panels, panel + end - unit);
      unit += last - panel;
      for (int64_t gathered_rows = 0; panel < last; ++panel) {
        const ProductPanel& of_unit = panels_[static_cast<size_t>(panel)];
        if (gathered_rows != of_unit.rows) {
          gathered_rows = of_unit.rows;
          tiles = Tiles(count, gathered_rows);
          gather(first, tiles, input + group * group_depth_, pixels);
        }
        const int64_t column = group * group_columns_ + of_unit.first;
        ProductTile tile;
        tile.product = &groups_[static_cast<size_t>(group)];
        tile.epilogue = &epilogue_;
        tile.panel = of_unit;
        tile.pixels = pixels;
        tile.output_pitch = to_pitch_;
        tile.residual_pitch = residual_pitch_;
        tile.output = output + (first * to_pitch_ + column) * element_bytes_;
        if (residual != nullptr) tile.residual = residual + first * residual_pitch_ + column;
        run_tiles(tile, tiles);
      }
    }
  }

  // `tile`: the first one but for its rows.
  void run_tiles(ProductTile tile, const Tiles& tiles) const {
    for (int64_t t = 0; t < tiles.count; ++t) {
      tile.rows = tiles.rows(t);
      run_product_tile(tile);
      tile.pixels += tile.rows * taps_;
      tile.output = static_cast<std::byte*>(tile.output) + tile.rows * to_pitch_ * element_bytes_;
      if (tile.residual != nullptr) tile.residual += tile.rows * residual_pitch_;
    }
  }

  // Addresses of all pixels that the rows of a block read, tile by tile.
  void gather(int64_t first, const Tiles& tiles, const uint8_t* input,
              const uint8_t** pixels) const {
    if (reads_in_turn_) {
      const uint8_t* pixel = input + first * from_.pixel_pitch;
      for (int64_t r = 0; r < tiles.all; ++r) pixels[r] = pixel + r * from_.pixel_pitch;
      return;
    }
    int64_t x = first % to_.width;
    int64_t y = first / to_.width % to_.height;
    int64_t image = first / to_.width / to_.height;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t rows = tiles.rows(t);
      for (int64_t row = 0; row < rows;) {
        const int64_t count = std::min(rows - row, to_.width - x);
        gather_line(input + image * from_.image_pitch, y, x, count, pixels + row, rows);
        row += count;
        x += count;
        if (x < to_.width) continue;
        x = 0;
        if (++y < to_.height) continue;
        y = 0;
        ++image;
      }
      if (skips_padding_) skip_padding(pixels, rows);
      pixels += rows * taps_;
    }
  }

  // For `count` neighbours in one line of the output; `to` has `rows` addresses a tap.
  void gather_line(const uint8_t* image, int64_t y, int64_t x, int64_t count, const uint8_t** to,
                   int64_t rows) const {
    const int64_t step = window_.stride_width * from_.pixel_pitch;
    for (int64_t i = 0; i < window_.kernel_height; ++i) {
      const int64_t from_y =
          y * window_.stride_height - window_.pad_top + i * window_.dilation_height;
      const bool inside = from_y >= 0 && from_y < from_.height;
      for (int64_t j = 0; j < window_.kernel_width; ++j, to += rows) {
        const int64_t left =
            x * window_.stride_width - window_.pad_left + j * window_.dilation_width;
        const int64_t right = left + (count - 1) * window_.stride_width;
        const uint8_t* pixel = image + from_y * from_.row_pitch + left * from_.pixel_pitch;
        if (inside && left >= 0 && right < from_.width) {
          for (int64_t r = 0; r < count; ++r) to[r] = pixel + r * step;
          continue;
        }
        for (int64_t r = 0; r < count; ++r) {
          const int64_t from_x = left + r * window_.stride_width;
          to[r] =
              inside && from_x >= 0 && from_x < from_.width ? pixel + r * step : padding_.data();
        }
      }
    }
  }

  // A tap of zeros in all rows of a tile adds nothing.
  void skip_padding(const uint8_t** of_tile, int64_t rows) const {
    for (int64_t tap = 0; tap < taps_; ++tap) {
      const uint8_t** first = of_tile + tap * rows;
      if (std::all_of(first, first + rows,
                      [&](const uint8_t* pixel) { return pixel == padding_.data(); }))
        *first = nullptr;
    }
  }

  int threads_;
  PlanWindow window_;
  PixelGrid from_;
  PixelGrid to_;
  ViewAddress input_;
  ViewAddress output_;
  ViewAddress residual_;
  ProductEpilogue epilogue_;
  std::vector<PackedProduct> groups_;
  std::vector<ProductPanel> panels_;  // of each group
  std::vector<uint8_t> padding_;
  std::vector<const uint8_t*> pixels_;  // of each thread
  bool skips_padding_ = false;
  bool reads_in_turn_ = false;  // row r reads pixel r
  int64_t taps_ = 1;
  int64_t depth_ = 0;
  int64_t group_depth_ = 0;
  int64_t group_columns_ = 0;
  int64_t rows_ = 0;
  int64_t blocks_ = 1;
  int64_t to_pitch_ = 0;
  int64_t residual_pitch_ = 0;
  int64_t element_bytes_ = 1;
  int64_t bytes_ = 0;
};

bool is_own_product(std::string_view implementation) {
  return implementation.starts_with(kOwnProduct);
}

BindContext any_implementation(BindContext context) {
  context.implementation = {};
  return context;
}

}  // namespace

std::unique_ptr<BoundStep> bind_product(const ProductStep& step, const BindContext& context) {
  if (!context.implementation.empty() && !is_own_product(context.implementation))
    if (auto product = bind_onednn_product(step, context)) return product;
  if (context.onednn_products && !is_own_product(context.implementation))
    if (auto product = bind_onednn_product(step, any_implementation(context))) return product;
  return std::make_unique<BoundProduct>(step, context);
}

}  // namespace lathe
