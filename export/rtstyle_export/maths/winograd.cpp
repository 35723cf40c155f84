// 3x3 convolution (stride 1, zero padding 1) by Winograd's F(4x4, 3x3) for AVX2 + FMA.
//
// Method: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
// The image is cut in 4x4 output tiles. Every 6x6 input tile is transformed (B^T d B), the 36
// positions become 36 independent matrix products over the channels, and each product is
// transformed back (A^T m A). That is 36 multiplications where the direct sum needs 144.
//
// Layouts (all float32):
//   x, mask  [n][h][w][cin]           activations, channels last
//   y        [n][h][w][cout]
//   u        [36][cout/16][cin][16]   weights after G g G^T, packed in panels of 16 outputs
//   bias     [cout] or null
//
// The file has a plain C interface: winograd.py builds it on first use and loads it by ctypes.

#include <immintrin.h>
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#if !defined(__AVX2__) || !defined(__FMA__)
#error "winograd.cpp needs AVX2 and FMA"
#endif

namespace {

constexpr int kTile = 4;       // side of an output tile
constexpr int kPoints = 36;    // transformed positions of a tile
constexpr int kPanel = 16;     // output channels of one weight panel
constexpr int kRows = 6;       // tiles per micro-kernel call: 6 x 16 fills 12 of 16 registers
constexpr int kDepth = 256;    // input channels per pass: a 16 KiB weight panel stays in L1
constexpr int kPad = 16;       // floats added to strides, so that powers of two do not alias in L1

using Vec = __m256;

struct Problem {
  const float* x;
  const float* mask;
  const float* u;
  const float* bias;
  float* y;
  std::int64_t n, h, w, cin, cout;
  bool relu;
  std::int64_t tiles_h, tiles_w;

  std::int64_t tiles() const { return n * tiles_h * tiles_w; }
};

// Transformed tiles of one block: v [36][tiles][cin], m [36][tiles][cout], with padded strides.
struct Scratch {
  float* v;
  float* m;
  std::int64_t v_row, v_point, m_row, m_point;
};

std::int64_t padded_row(std::int64_t channels) { return channels + kPad; }

std::int64_t padded_point(std::int64_t channels, std::int64_t tiles) {
  return padded_row(channels) * tiles + kPad;
}

std::int64_t scratch_floats(const Problem& p, std::int64_t tiles) {
  return kPoints * (padded_point(p.cin, tiles) + padded_point(p.cout, tiles));
}

Scratch make_scratch(const Problem& p, float* base, std::int64_t tiles) {
  Scratch s;
  s.v_row = padded_row(p.cin);
  s.v_point = padded_point(p.cin, tiles);
  s.m_row = padded_row(p.cout);
  s.m_point = padded_point(p.cout, tiles);
  s.v = base;
  s.m = base + kPoints * s.v_point;
  return s;
}

// Memory that the calling thread keeps between calls: fresh pages would cost a fault each time.
class Arena {
 public:
  ~Arena() { std::free(data_); }

  float* reserve(std::size_t bytes) {
    constexpr std::size_t kHuge = std::size_t{1} << 21;
    if (bytes > size_) {
      const std::size_t rounded = (bytes + kHuge - 1) / kHuge * kHuge;
      std::free(data_);
      size_ = 0;
      data_ = std::aligned_alloc(kHuge, rounded);
      if (data_ == nullptr) return nullptr;
      size_ = rounded;
      madvise(data_, rounded, MADV_HUGEPAGE);  // fewer TLB misses; failure is harmless
    }
    return static_cast<float*>(data_);
  }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

thread_local Arena arena;

// One row or column of B^T d.
inline void input_1d(const Vec d[6], Vec out[6]) {
  const Vec four = _mm256_set1_ps(4.0f), five = _mm256_set1_ps(5.0f), two = _mm256_set1_ps(2.0f);
  const Vec a = _mm256_fnmadd_ps(four, d[2], d[4]);  // d4 - 4 d2
  const Vec b = _mm256_fnmadd_ps(four, d[1], d[3]);  // d3 - 4 d1
  const Vec c = _mm256_sub_ps(d[4], d[2]);
  const Vec e = _mm256_sub_ps(d[3], d[1]);
  out[0] = _mm256_fmadd_ps(four, d[0], _mm256_fnmadd_ps(five, d[2], d[4]));
  out[1] = _mm256_add_ps(a, b);
  out[2] = _mm256_sub_ps(a, b);
  out[3] = _mm256_fmadd_ps(two, e, c);
  out[4] = _mm256_fnmadd_ps(two, e, c);
  out[5] = _mm256_fmadd_ps(four, d[1], _mm256_fnmadd_ps(five, d[3], d[5]));
}

// One row or column of A^T m.
inline void output_1d(const Vec m[6], Vec out[4]) {
  const Vec two = _mm256_set1_ps(2.0f), four = _mm256_set1_ps(4.0f), eight = _mm256_set1_ps(8.0f);
  const Vec a = _mm256_add_ps(m[1], m[2]), b = _mm256_sub_ps(m[1], m[2]);
  const Vec c = _mm256_add_ps(m[3], m[4]), d = _mm256_sub_ps(m[3], m[4]);
  out[0] = _mm256_add_ps(_mm256_add_ps(m[0], a), c);
  out[1] = _mm256_fmadd_ps(two, d, b);
  out[2] = _mm256_fmadd_ps(four, c, a);
  out[3] = _mm256_add_ps(_mm256_fmadd_ps(eight, d, b), m[5]);
}

struct TilePlace {
  std::int64_t image, row, col;  // row and col of the first output pixel
};

inline TilePlace place_of(const Problem& p, std::int64_t tile) {
  const std::int64_t per_image = p.tiles_h * p.tiles_w;
  const std::int64_t rest = tile % per_image;
  return {tile / per_image, rest / p.tiles_w * kTile, rest % p.tiles_w * kTile};
}

// v[:, slot, :] = B^T d B of one tile. kMasked drops values where mask <= 0: the gradient of ReLU.
template <bool kMasked, bool kEdge>
void transform_input_tile(const Problem& p, const Scratch& s, const TilePlace& at,
                          std::int64_t slot) {
  const std::int64_t top = at.row - 1, left = at.col - 1;
  const std::int64_t origin = ((at.image * p.h + top) * p.w + left) * p.cin;
  const std::int64_t row_step = p.w * p.cin;
  float* out = s.v + slot * s.v_row;
  for (std::int64_t ch = 0; ch < p.cin; ch += 8) {
    Vec half[6][6];  // [column][transformed row]
    for (int j = 0; j < 6; ++j) {
      Vec d[6];
      for (int i = 0; i < 6; ++i) {
        if (kEdge && (top + i < 0 || top + i >= p.h || left + j < 0 || left + j >= p.w)) {
          d[i] = _mm256_setzero_ps();
          continue;
        }
        const std::int64_t at_pixel = origin + i * row_step + j * p.cin + ch;
        d[i] = _mm256_loadu_ps(p.x + at_pixel);
        if (kMasked) {
          const Vec gate = _mm256_loadu_ps(p.mask + at_pixel);
          d[i] = _mm256_and_ps(d[i], _mm256_cmp_ps(gate, _mm256_setzero_ps(), _CMP_GT_OQ));
        }
      }
      input_1d(d, half[j]);
    }
    for (int i = 0; i < 6; ++i) {
      const Vec line[6] = {half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]};
      Vec res[6];
      input_1d(line, res);
      for (int j = 0; j < 6; ++j) _mm256_storeu_ps(out + (i * 6 + j) * s.v_point + ch, res[j]);
    }
  }
}

void transform_input(const Problem& p, const Scratch& s, std::int64_t tile, std::int64_t slot) {
  const TilePlace at = place_of(p, tile);
  const bool edge = at.row == 0 || at.col == 0 || at.row + 5 > p.h || at.col + 5 > p.w;
  if (p.mask != nullptr) {
    edge ? transform_input_tile<true, true>(p, s, at, slot)
         : transform_input_tile<true, false>(p, s, at, slot);
  } else {
    edge ? transform_input_tile<false, true>(p, s, at, slot)
         : transform_input_tile<false, false>(p, s, at, slot);
  }
}

// y of one tile = A^T m A + bias, with ReLU when asked; parts outside the image are dropped.
void transform_output(const Problem& p, const Scratch& s, std::int64_t tile, std::int64_t slot) {
  const TilePlace at = place_of(p, tile);
  const int rows = static_cast<int>(std::min<std::int64_t>(kTile, p.h - at.row));
  const int cols = static_cast<int>(std::min<std::int64_t>(kTile, p.w - at.col));
  const float* in = s.m + slot * s.m_row;
  float* out = p.y + ((at.image * p.h + at.row) * p.w + at.col) * p.cout;
  const Vec zero = _mm256_setzero_ps();
  for (std::int64_t ch = 0; ch < p.cout; ch += 8) {
    Vec half[6][4];  // [column][output row]
    for (int j = 0; j < 6; ++j) {
      Vec m[6];
      for (int i = 0; i < 6; ++i) m[i] = _mm256_loadu_ps(in + (i * 6 + j) * s.m_point + ch);
      output_1d(m, half[j]);
    }
    const Vec shift = p.bias != nullptr ? _mm256_loadu_ps(p.bias + ch) : zero;
    for (int i = 0; i < rows; ++i) {
      const Vec line[6] = {half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]};
      Vec res[4];
      output_1d(line, res);
      for (int j = 0; j < cols; ++j) {
        Vec value = _mm256_add_ps(res[j], shift);
        // The constant comes first: max_ps returns its second operand for NaN, which must survive.
        if (p.relu) value = _mm256_max_ps(zero, value);
        _mm256_storeu_ps(out + (i * p.w + j) * p.cout + ch, value);
      }
    }
  }
}

// m[kR][16] (+)= v[kR][depth] * u[depth][16]; `next` is fetched to L2 while we compute.
template <int kR>
inline void micro_kernel(const float* v, std::int64_t v_row, const float* u, std::int64_t depth,
                         float* m, std::int64_t m_row, bool accumulate, const float* next) {
  Vec acc[kR][2];
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
    acc[r][0] = accumulate ? _mm256_loadu_ps(m + r * m_row) : _mm256_setzero_ps();
    acc[r][1] = accumulate ? _mm256_loadu_ps(m + r * m_row + 8) : _mm256_setzero_ps();
  }
#pragma GCC unroll 4
  for (std::int64_t k = 0; k < depth; ++k) {
    const Vec u0 = _mm256_loadu_ps(u + k * kPanel);
    const Vec u1 = _mm256_loadu_ps(u + k * kPanel + 8);
    _mm_prefetch(reinterpret_cast<const char*>(next + k * kPanel), _MM_HINT_T1);
#pragma GCC unroll 6
    for (int r = 0; r < kR; ++r) {
      const Vec a = _mm256_broadcast_ss(v + r * v_row + k);
      acc[r][0] = _mm256_fmadd_ps(a, u0, acc[r][0]);
      acc[r][1] = _mm256_fmadd_ps(a, u1, acc[r][1]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
    _mm256_storeu_ps(m + r * m_row, acc[r][0]);
    _mm256_storeu_ps(m + r * m_row + 8, acc[r][1]);
  }
}

// Products of one transformed position for the weight panels [panel0, panel1).
void multiply(const Problem& p, const Scratch& s, std::int64_t tiles, int point,
              std::int64_t panel0, std::int64_t panel1) {
  const float* weights = p.u + point * p.cin * p.cout;
  for (std::int64_t panel = panel0; panel < panel1; ++panel) {
    for (std::int64_t k0 = 0; k0 < p.cin; k0 += kDepth) {
      const std::int64_t depth = std::min<std::int64_t>(kDepth, p.cin - k0);
      const float* u = weights + (panel * p.cin + k0) * kPanel;
      const float* next = u + depth * kPanel;  // panels are contiguous; only prefetched
      const bool add = k0 > 0;
      std::int64_t t = 0;
      for (; t < tiles;) {
        const float* v = s.v + point * s.v_point + t * s.v_row + k0;
        float* m = s.m + point * s.m_point + t * s.m_row + panel * kPanel;
        switch (std::min<std::int64_t>(kRows, tiles - t)) {
          case 6: micro_kernel<6>(v, s.v_row, u, depth, m, s.m_row, add, next); break;
          case 5: micro_kernel<5>(v, s.v_row, u, depth, m, s.m_row, add, next); break;
          case 4: micro_kernel<4>(v, s.v_row, u, depth, m, s.m_row, add, next); break;
          case 3: micro_kernel<3>(v, s.v_row, u, depth, m, s.m_row, add, next); break;
          case 2: micro_kernel<2>(v, s.v_row, u, depth, m, s.m_row, add, next); break;
          default: micro_kernel<1>(v, s.v_row, u, depth, m, s.m_row, add, next); break;
        }
        t += kRows;
        next = u;  // later rows prefetch what is already in L1: free, and needs no branch
      }
    }
  }
}

// Each thread takes whole blocks of tiles: no barriers, scratch stays near the core.
void run_blocks(const Problem& p, float* base, std::int64_t block, int threads) {
  const std::int64_t total = p.tiles();
  const std::int64_t blocks = (total + block - 1) / block;
#pragma omp parallel num_threads(threads)
  {
    const Scratch s = make_scratch(p, base + omp_get_thread_num() * scratch_floats(p, block), block);
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t first = b * block, count = std::min(block, total - first);
      for (std::int64_t t = 0; t < count; ++t) transform_input(p, s, first + t, t);
      for (int point = 0; point < kPoints; ++point) {
        multiply(p, s, count, point, 0, p.cout / kPanel);
      }
      for (std::int64_t t = 0; t < count; ++t) transform_output(p, s, first + t, t);
    }
  }
}

// All threads share a block and split the weights, so that large weights are read once a block.
void run_shared(const Problem& p, float* base, std::int64_t block, int threads) {
  constexpr std::int64_t kGroup = 8;  // panels per work item
  const std::int64_t total = p.tiles();
  const std::int64_t panels = p.cout / kPanel, groups = (panels + kGroup - 1) / kGroup;
  const Scratch s = make_scratch(p, base, block);
#pragma omp parallel num_threads(threads)
  for (std::int64_t first = 0; first < total; first += block) {
    const std::int64_t count = std::min(block, total - first);
#pragma omp for schedule(dynamic, 2)
    for (std::int64_t t = 0; t < count; ++t) transform_input(p, s, first + t, t);
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t item = 0; item < kPoints * groups; ++item) {
      const std::int64_t panel = item % groups * kGroup;
      multiply(p, s, count, static_cast<int>(item / groups), panel,
               std::min(panel + kGroup, panels));
    }
#pragma omp for schedule(dynamic, 2)
    for (std::int64_t t = 0; t < count; ++t) transform_output(p, s, first + t, t);
  }
}

}  // namespace

// Convolves x into y; `mask` (or null) zeroes x where mask <= 0. See the layouts above.
// `block` is the number of tiles transformed together and `shared` the way threads split the
// work (1: by weights, 0: by blocks); 0 and -1 let the function choose.
// Returns 0, 1 for an unsupported argument or 2 when scratch memory is not available.
extern "C" int rtstyle_winograd_conv3x3(const float* x, const float* mask, const float* u,
                                        const float* bias, float* y, std::int64_t n,
                                        std::int64_t h, std::int64_t w, std::int64_t cin,
                                        std::int64_t cout, int relu, int threads,
                                        std::int64_t block, int shared) {
  if (n < 1 || h < 1 || w < 1 || cin < 8 || cin % 8 != 0 || cout < kPanel ||
      cout % kPanel != 0 || threads < 1 || block < 0) {
    return 1;
  }
  const Problem p{x,    mask, u,         bias, y, n, h, w, cin, cout, relu != 0,
                  (h + kTile - 1) / kTile, (w + kTile - 1) / kTile};
  if (shared < 0) shared = cin * cout >= 256 * 256 ? 1 : 0;
  if (block == 0) block = shared ? 96 : 36;
  block = std::min(block, p.tiles());
  const std::int64_t copies = shared ? 1 : threads;
  float* base = arena.reserve(static_cast<std::size_t>(copies * scratch_floats(p, block)) *
                              sizeof(float));
  if (base == nullptr) return 2;
  if (shared) {
    run_shared(p, base, block, threads);
  } else {
    run_blocks(p, base, block, threads);
  }
  return 0;
}
