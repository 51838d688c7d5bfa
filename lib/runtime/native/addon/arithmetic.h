// What the operations of `operations.cc` compute; `arithmetic.cc` is compiled once for each kind of processor.

#pragma once
#include <cstddef>
#include <cstdint>

namespace convlens {

// A convolution with a window of 3 × 3 and no stride, channels last.
struct Convolution3x3 {
  int64_t batch, height, width, inputs;     // x
  int64_t out_height, out_width, outputs;   // y
  int64_t pad;                              // rows and columns of zeros around x
  bool turned;                              // the filter is [3, 3, outputs, inputs] and turned half round, as for a gradient
  bool rectify;
  const float *x, *filter;
  const float *bias, *side;                 // null where there is none
  float *y;
  float *weights;                           // room for the filter as the products take it: 16 · inputs · outputs

  int64_t tiles_across() const { return (out_width + 1) / 2; }
  int64_t tiles_down() const { return (out_height + 1) / 2; }
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

// Of each channel of each image the largest number and the first cell that has it, channels last.
struct Maxima {
  int64_t batch, cells, channels;           // x
  const float *x;
  float *values, *places;                   // [batch, channels] each
};

// A normalisation with what follows it, channel by channel: y = x · scale + shift, what is added, rectified.
struct Normalization {
  int64_t cells, channels;                  // x, side, y
  bool rectify;
  const float *x, *scale, *shift;
  const float *side;                        // null where there is none
  float *y;
};

// The arithmetic as one kind of processor does it best. Each takes part number `part` of `parts` equal ones.
struct Arithmetic {
  // Channels of input and output must be multiples of these.
  int64_t input_step, output_step;
  // Floats of memory that a thread needs for itself.
  size_t (*room)(const Convolution3x3 &);
  // First for all parts the filter, then for all parts the tiles.
  void (*transform_filter)(const Convolution3x3 &, int64_t part, int64_t parts);
  void (*convolve)(const Convolution3x3 &, float *room, int64_t part, int64_t parts);
  void (*max_pool_gradient)(const MaxPoolGradient &, int64_t part, int64_t parts);
  void (*maxima)(const Maxima &, int64_t part, int64_t parts);
  void (*normalize)(const Normalization &, int64_t part, int64_t parts);
};

extern const Arithmetic avx512, avx2;

}  // namespace convlens
