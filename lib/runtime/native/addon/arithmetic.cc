// The arithmetic for processors with vectors of LANES floats, of which ROWS × 2 sums fit into the registers.
//
// The convolution is that of Winograd: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", §4.1,
// F(2 × 2, 3 × 3). A tile of 2 × 2 outputs takes 16 products where the sum over the window takes 36. Tile and filter
// are transformed; for each of the 16 places the products over all channels are one multiplication of matrices.

#include "arithmetic.h"

#include <algorithm>
#include <cstring>

namespace convlens {
namespace {

typedef float Vector __attribute__((vector_size(4 * LANES)));

constexpr int64_t PLACES = 16;
// Two vectors of outputs are computed at a time.
constexpr int64_t PANEL = 2 * LANES;
// Keeps what belongs to the 16 places of one tile in different lines of the cache.
constexpr int64_t GAP = 16;

inline Vector load(const float *from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

inline void store(float *to, Vector vector) { std::memcpy(to, &vector, sizeof vector); }

// The first and the one past the last of a part's share.
inline int64_t share(int64_t all, int64_t part, int64_t parts) { return all * part / parts; }

// How many tiles are worked on together: so many that their transforms stay in the second level of the cache.
int64_t block_of(const Convolution3x3 &c) {
  const int64_t fits = (1 << 17) / (PLACES * c.inputs) / ROWS * ROWS;
  return std::max<int64_t>(2 * ROWS, std::min<int64_t>(fits, 8 * ROWS));
}

size_t room(const Convolution3x3 &c) {
  const int64_t block = block_of(c);
  return PLACES * (block * c.inputs + GAP) + PLACES * (block * PANEL + GAP) + c.inputs;
}

// One column (or row) of a filter: three weights become four.
inline void widen(Vector a, Vector b, Vector c, Vector out[4]) {
  const Vector outer = (a + c) * 0.5f, middle = b * 0.5f;
  out[0] = a;
  out[1] = outer + middle;
  out[2] = outer - middle;
  out[3] = c;
}

// The filter as [place][panel of outputs][input][output in its panel].
void transform_filter(const Convolution3x3 &c, int64_t part, int64_t parts) {
  const int64_t size = c.inputs * c.outputs, bands = c.inputs / LANES;
  float block[9][LANES][LANES];
  for (int64_t band = share(bands, part, parts); band < share(bands, part + 1, parts); ++band) {
    for (int64_t output = 0; output < c.outputs; output += LANES) {
      for (int at = 0; at < 9; ++at) {
        for (int row = 0; row < LANES; ++row) {
          if (c.turned) {
            const float *from = c.filter + (8 - at) * size + (output + row) * c.inputs + band * LANES;
            for (int lane = 0; lane < LANES; ++lane) block[at][lane][row] = from[lane];
          } else {
            const float *from = c.filter + at * size + (band * LANES + row) * c.outputs + output;
            std::memcpy(block[at][row], from, sizeof block[at][row]);
          }
        }
      }
      for (int row = 0; row < LANES; ++row) {
        Vector columns[3][4];
        for (int j = 0; j < 3; ++j) {
          widen(load(block[j][row]), load(block[3 + j][row]), load(block[6 + j][row]), columns[j]);
        }
        const int64_t panel = output / PANEL;
        float *to = c.weights + (panel * c.inputs + band * LANES + row) * PANEL + output % PANEL;
        for (int i = 0; i < 4; ++i) {
          Vector wide[4];
          widen(columns[0][i], columns[1][i], columns[2][i], wide);
          for (int j = 0; j < 4; ++j) store(to + (4 * i + j) * size, wide[j]);
        }
      }
    }
  }
}

// Four cells of a row (or column) of a tile.
inline void transform(Vector cells[4]) {
  const Vector a = cells[0] - cells[2], b = cells[1] + cells[2], c = cells[2] - cells[1], d = cells[1] - cells[3];
  cells[0] = a;
  cells[1] = b;
  cells[2] = c;
  cells[3] = d;
}

struct Place {
  int64_t image, row, column;   // of the tile's first output
};

inline Place place_of(const Convolution3x3 &c, int64_t tile) {
  const int64_t across = c.tiles_across(), down = c.tiles_down();
  return {tile / (across * down), tile / across % down * 2, tile % across * 2};
}

// A tile of 4 × 4 inputs, into [place][vector of inputs][tile of the block][lane].
void transform_tile(const Convolution3x3 &c, Place place, const float *zeros, float *to, int64_t block) {
  const float *cells[4][4];
  for (int i = 0; i < 4; ++i) {
    const int64_t row = place.row + i - c.pad;
    for (int j = 0; j < 4; ++j) {
      const int64_t column = place.column + j - c.pad;
      const bool inside = row >= 0 && row < c.height && column >= 0 && column < c.width;
      cells[i][j] = inside ? c.x + ((place.image * c.height + row) * c.width + column) * c.inputs : zeros;
    }
  }
  const int64_t stride = block * c.inputs + GAP;
  for (int64_t input = 0; input < c.inputs; input += LANES, to += block * LANES) {
    Vector tile[4][4];
    for (int j = 0; j < 4; ++j) {
      Vector column[4];
      for (int i = 0; i < 4; ++i) column[i] = load(cells[i][j] + input);
      transform(column);
      for (int i = 0; i < 4; ++i) tile[i][j] = column[i];
    }
    for (int i = 0; i < 4; ++i) {
      transform(tile[i]);
      for (int j = 0; j < 4; ++j) store(to + (4 * i + j) * stride, tile[i][j]);
    }
  }
}

// The sums over all inputs for R tiles and a panel of outputs, at one place.
template <int R>
void multiply(const float *tiles, int64_t block, const float *weights, int64_t inputs, float *sums) {
  Vector all[R][2];
  for (int r = 0; r < R; ++r) all[r][0] = all[r][1] = Vector{};
  for (int64_t input = 0; input < inputs; input += LANES, tiles += block * LANES) {
    for (int lane = 0; lane < LANES; ++lane, weights += PANEL) {
      const Vector first = load(weights), second = load(weights + LANES);
      for (int r = 0; r < R; ++r) {
        const float value = tiles[r * LANES + lane];
        all[r][0] += value * first;
        all[r][1] += value * second;
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    store(sums + r * PANEL, all[r][0]);
    store(sums + r * PANEL + LANES, all[r][1]);
  }
}

// For the last tiles of a block, of which there are fewer.
template <int R>
void multiply_rest(int64_t rest, const float *tiles, int64_t block, const float *weights, int64_t inputs, float *sums) {
  if (rest == R) return multiply<R>(tiles, block, weights, inputs, sums);
  if constexpr (R > 1) multiply_rest<R - 1>(rest, tiles, block, weights, inputs, sums);
}

// From the 16 places of a tile to its 2 × 2 outputs.
void finish_tile(const Convolution3x3 &c, Place place, const float *sums, int64_t stride, int64_t panel) {
  for (int64_t half = 0; half < PANEL; half += LANES) {
    const int64_t output = panel * PANEL + half;
    Vector rows[2][4];
    for (int j = 0; j < 4; ++j) {
      Vector at[4];
      for (int i = 0; i < 4; ++i) at[i] = load(sums + (4 * i + j) * stride + half);
      rows[0][j] = at[0] + at[1] + at[2];
      rows[1][j] = at[1] - at[2] - at[3];
    }
    const Vector bias = c.bias ? load(c.bias + output) : Vector{};
    for (int i = 0; i < 2; ++i) {
      const Vector *at = rows[i];
      const Vector two[2] = {at[0] + at[1] + at[2] + bias, at[1] - at[2] - at[3] + bias};
      for (int j = 0; j < 2; ++j) {
        const int64_t row = place.row + i, column = place.column + j;
        if (row >= c.out_height || column >= c.out_width) continue;
        const int64_t cell = ((place.image * c.out_height + row) * c.out_width + column) * c.outputs + output;
        Vector value = two[j];
        if (c.side) value += load(c.side + cell);
        // What is not a number stays none.
        if (c.rectify) value = value < Vector{} ? Vector{} : value;
        store(c.y + cell, value);
      }
    }
  }
}

void convolve(const Convolution3x3 &c, float *room, int64_t part, int64_t parts) {
  const int64_t block = block_of(c), end = share(c.tiles(), part + 1, parts);
  const int64_t tile_stride = block * c.inputs + GAP, sum_stride = block * PANEL + GAP;
  float *const transformed = room, *const sums = transformed + PLACES * tile_stride;
  float *const zeros = sums + PLACES * sum_stride;
  std::fill(zeros, zeros + c.inputs, 0.0f);
  for (int64_t start = share(c.tiles(), part, parts); start < end; start += block) {
    const int64_t count = std::min(block, end - start);
    for (int64_t i = 0; i < count; ++i) {
      transform_tile(c, place_of(c, start + i), zeros, transformed + i * LANES, block);
    }
    for (int64_t panel = 0; panel < c.outputs / PANEL; ++panel) {
      for (int64_t at = 0; at < PLACES; ++at) {
        const float *weights = c.weights + at * c.inputs * c.outputs + panel * c.inputs * PANEL;
        const float *tiles = transformed + at * tile_stride;
        float *to = sums + at * sum_stride;
        int64_t i = 0;
        for (; i + ROWS <= count; i += ROWS) {
          multiply<ROWS>(tiles + i * LANES, block, weights, c.inputs, to + i * PANEL);
        }
        if (i < count) {
          multiply_rest<ROWS - 1>(count - i, tiles + i * LANES, block, weights, c.inputs, to + i * PANEL);
        }
      }
      for (int64_t i = 0; i < count; ++i) {
        finish_tile(c, place_of(c, start + i), sums + i * PANEL, sum_stride, panel);
      }
    }
  }
}

// Channels that are looked through together.
constexpr int64_t GROUP = 64;

void max_pool_gradient(const MaxPoolGradient &p, int64_t part, int64_t parts) {
  const int64_t groups = (p.channels + GROUP - 1) / GROUP, all = p.batch * groups;
  for (int64_t unit = share(all, part, parts); unit < share(all, part + 1, parts); ++unit) {
    const int64_t image = unit / groups, channel = unit % groups * GROUP;
    const int64_t count = std::min(GROUP, p.channels - channel);
    const int64_t start = image * p.height * p.width * p.channels + channel;
    const float *x = p.x + start;
    float *dx = p.dx + start;
    for (int64_t cell = 0; cell < p.height * p.width; ++cell) std::fill_n(dx + cell * p.channels, count, 0.0f);
    const float *dy = p.dy + image * p.out_height * p.out_width * p.channels + channel;
    for (int64_t i = 0; i < p.out_height; ++i) {
      const int64_t top = i * p.stride[0] - p.before[0];
      const int64_t row0 = std::max<int64_t>(0, top), row1 = std::min(p.height, top + p.size[0]);
      for (int64_t j = 0; j < p.out_width; ++j, dy += p.channels) {
        const int64_t left = j * p.stride[1] - p.before[1];
        const int64_t column0 = std::max<int64_t>(0, left), column1 = std::min(p.width, left + p.size[1]);
        float most[GROUP];
        int32_t where[GROUP];
        const int64_t first = (row0 * p.width + column0) * p.channels;
        for (int64_t c = 0; c < count; ++c) most[c] = x[first + c];
        std::fill_n(where, count, 0);
        int32_t at = 0;
        for (int64_t row = row0; row < row1; ++row) {
          for (int64_t column = column0; column < column1; ++column, ++at) {
            const float *cell = x + (row * p.width + column) * p.channels;
            for (int64_t c = 0; c < count; ++c) {
              const bool more = cell[c] > most[c];
              most[c] = more ? cell[c] : most[c];
              where[c] = more ? at : where[c];
            }
          }
        }
        at = 0;
        for (int64_t row = row0; row < row1; ++row) {
          for (int64_t column = column0; column < column1; ++column, ++at) {
            float *cell = dx + (row * p.width + column) * p.channels;
            for (int64_t c = 0; c < count; ++c) cell[c] += where[c] == at ? dy[c] : 0.0f;
          }
        }
      }
    }
  }
}

typedef int32_t Places __attribute__((vector_size(4 * LANES)));

// The maxima of COUNT vectors of channels of an image. What is no number is never larger than −∞, which is put right at
// the end.
template <int COUNT>
void maxima_of(const Maxima &m, int64_t image, int64_t first) {
  Vector most[COUNT];
  Places where[COUNT];
  for (int i = 0; i < COUNT; ++i) {
    most[i] = Vector{} - __builtin_inff();
    where[i] = Places{};
  }
  const float *cell = m.x + image * m.cells * m.channels + first;
  for (int32_t at = 0; at < m.cells; ++at, cell += m.channels) {
    const Places here = Places{} + at;
    for (int i = 0; i < COUNT; ++i) {
      const Vector value = load(cell + i * LANES);
      const Places more = value > most[i];
      most[i] = more ? value : most[i];
      where[i] = more ? here : where[i];
    }
  }
  float *values = m.values + image * m.channels + first, *places = m.places + image * m.channels + first;
  for (int i = 0; i < COUNT; ++i) {
    store(values + i * LANES, most[i]);
    for (int lane = 0; lane < LANES; ++lane) places[i * LANES + lane] = static_cast<float>(where[i][lane]);
  }
}

// The same of one channel, and right where all is −∞ or no number.
void maximum_of(const Maxima &m, int64_t image, int64_t channel) {
  const float *x = m.x + image * m.cells * m.channels + channel;
  float most = x[0];
  int64_t where = 0;
  for (int64_t cell = 1; cell < m.cells; ++cell) {
    const float value = x[cell * m.channels];
    if (value > most || (most != most && value == value)) {
      most = value;
      where = cell;
    }
  }
  m.values[image * m.channels + channel] = most;
  m.places[image * m.channels + channel] = static_cast<float>(where);
}

void maxima(const Maxima &m, int64_t part, int64_t parts) {
  constexpr int64_t GROUP = 4 * LANES;
  const int64_t groups = (m.channels + GROUP - 1) / GROUP, all = m.batch * groups;
  for (int64_t item = share(all, part, parts); item < share(all, part + 1, parts); ++item) {
    const int64_t image = item / groups, start = item % groups * GROUP, end = std::min(m.channels, start + GROUP);
    int64_t channel = start;
    if (end - start == GROUP) {
      maxima_of<4>(m, image, channel);
      channel = end;
    }
    for (; channel + LANES <= end; channel += LANES) maxima_of<1>(m, image, channel);
    for (; channel < end; ++channel) maximum_of(m, image, channel);
    for (channel = start; channel < end; ++channel) {
      if (m.values[image * m.channels + channel] == -__builtin_inff()) maximum_of(m, image, channel);
    }
  }
}

void normalize(const Normalization &n, int64_t part, int64_t parts) {
  const int64_t whole = n.channels / LANES * LANES;
  for (int64_t cell = share(n.cells, part, parts); cell < share(n.cells, part + 1, parts); ++cell) {
    const float *x = n.x + cell * n.channels, *side = n.side ? n.side + cell * n.channels : nullptr;
    float *y = n.y + cell * n.channels;
    for (int64_t c = 0; c < whole; c += LANES) {
      Vector value = load(x + c) * load(n.scale + c) + load(n.shift + c);
      if (side) value += load(side + c);
      // What is no number stays none.
      if (n.rectify) value = value < 0.0f ? Vector{} : value;
      store(y + c, value);
    }
    for (int64_t c = whole; c < n.channels; ++c) {
      float value = x[c] * n.scale[c] + n.shift[c];
      if (side) value += side[c];
      y[c] = n.rectify && value < 0.0f ? 0.0f : value;
    }
  }
}

}  // namespace

const Arithmetic KIND = {LANES, PANEL, room, transform_filter, convolve, max_pool_gradient, maxima, normalize};

}  // namespace convlens
