// What the operations of `operations.cc` compute; `arithmetic.cc` is compiled once for each kind of processor.

#pragma once
#include <cstddef>
#include <cstdint>

namespace convlens {

// A convolution with channels last: with a window of 3 × 3 and no stride, or of a single cell.
struct Convolution {
  int64_t batch, height, width, inputs;     // x
  int64_t out_height, out_width, outputs;   // y
  int64_t taps, stride;                     // of a window of 3 × 3 the stride is 1
  int64_t pad;                              // rows and columns of zeros around x; of a single cell none
  bool turned;                              // the filter is [h, w, outputs, inputs] and turned half round, as for a gradient
  bool rectify;
  const float *x, *filter;
  const float *bias, *side;                 // null where there is none
  float *y;
  float *weights;                           // room for the filter as the products take it: places · inputs · outputs

  // A tile of outputs is computed at once: 2 × 2 from products at 16 places, or one by its own products.
  int64_t tile() const { return taps == 3 ? 2 : 1; }
  int64_t places() const { return taps == 3 ? 16 : 1; }
  int64_t tiles_across() const { return (out_width + tile() - 1) / tile(); }
  int64_t tiles_down() const { return (out_height + tile() - 1) / tile(); }
  int64_t tiles() const { return batch * tiles_down() * tiles_across(); }
};

// The gradient of max pooling, channels last: of equal cells the first in row-major order takes all.
struct MaxPoolGradient {
  int64_t batch, height, width, channels;   // x, dx
  int64_t out_height, out_width;            // dy
  int64_t size[2], stride[2], before[2];
  const float *x, *dy;
  float *dx;
};

// The arithmetic as one kind of processor does it best. Each takes part number `part` of `parts` equal ones.
struct Arithmetic {
  // Channels of input and output must be multiples of these.
  int64_t input_step, output_step;
  // Floats of memory that a thread needs for itself.
  size_t (*room)(const Convolution &);
  // First for all parts the filter, then for all parts the tiles.
  void (*transform_filter)(const Convolution &, int64_t part, int64_t parts);
  void (*convolve)(const Convolution &, float *room, int64_t part, int64_t parts);
  void (*max_pool_gradient)(const MaxPoolGradient &, int64_t part, int64_t parts);
};

extern const Arithmetic avx512, avx2;

}  // namespace convlens
