// The operation `lorarack::add_lora`, and the tables that it reads: layers with their adapters' weights, and the rows of the
// batch that is being computed. The tables are written between steps, by the thread that runs the model.
#include <ATen/core/Tensor.h>
#include <omp.h>
#include <torch/library.h>

#include <memory>
#include <unordered_map>
#include <vector>

#include "arena.h"
#include "image.h"
#include "products.h"

namespace lorarack {
namespace {

struct Matrices {  // one adapter on one slice of a layer
  int rank = 0;    // padded; 0: the adapter leaves the slice alone
  std::shared_ptr<uint32_t> a, b;
};

struct Layer {
  int rows;  // index of its Rows
  bool bfloat16;
  int64_t inputs, outputs = 0;
  std::vector<int64_t> widths, offsets;  // of its slices, along the outputs
  std::vector<Matrices> matrices;        // slot-major
};

struct Tile {  // up to kTile rows of one slot
  int slot, count;
  int rows[kTile];
};

struct Rows {  // which rows of the batch have which slot
  std::vector<Tile> tiles;
  int64_t end = 0;    // one past the last row that has an adapter
  int64_t slots = 0;  // one past the highest slot
};

// Whether any adapter of the batch adapts the layer: waking the threads costs more than looking.
bool concerns(const Layer& layer, const Rows& rows) {
  const size_t slices = layer.widths.size();
  for (const Tile& tile : rows.tiles)
    for (size_t slice = 0; slice < slices; ++slice)
      if (layer.matrices[tile.slot * slices + slice].rank) return true;
  return false;
}

std::vector<std::unique_ptr<Rows>> all_rows;
std::vector<std::unique_ptr<Layer>> layers;
std::unordered_map<int64_t, std::vector<Matrices>> adapters;  // by number: of all slices of all layers, in order
int64_t last_adapter = 0;
Arena arena;

size_t all_slices() {
  size_t count = 0;
  for (const auto& layer : layers) count += layer->widths.size();
  return count;
}

// Call `what(matrices of the slot, their place in an adapter)` for each slice of each layer.
template <class F>
void for_slot(int slot, F what) {
  size_t place = 0;
  for (auto& layer : layers)
    for (size_t slice = 0; slice < layer->widths.size(); ++slice, ++place)
      if (const size_t at = slot * layer->widths.size() + slice; at < layer->matrices.size()) what(layer->matrices[at], place);
}

template <class T, class Y>
void add(const Layer& layer, const Rows& rows, const at::Tensor& x, at::Tensor& y) {
  const char* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<typename Y::Scalar*>(y.mutable_data_ptr());
  const int64_t x_stride = x.stride(0) * x.element_size(), y_stride = y.stride(0);
  const int64_t slices = layer.widths.size(), tiles = rows.tiles.size(), tasks = tiles * slices;
#pragma omp parallel for schedule(static) if (tasks > 1)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t number = task / slices, slice = task % slices;
    const Tile& tile = rows.tiles[number];
    const Matrices& m = layer.matrices[tile.slot * slices + slice];
    if (!m.rank) continue;
    const char* xs[kTile];
    typename Y::Scalar* ys[kTile];
    for (int i = 0; i < tile.count; ++i) {
      xs[i] = from + tile.rows[i] * x_stride;
      ys[i] = to + tile.rows[i] * y_stride + layer.offsets[slice];
    }
    Ahead next;
    if (slice == slices - 1 && number + 1 < tiles && rows.tiles[number + 1].count == kTile) {
      for (int i = 0; i < kTile; ++i) next.rows[i] = from + rows.tiles[number + 1].rows[i] * x_stride;
      next.bytes = layer.inputs * x.element_size();
    }
    // A vocabulary may be padded differently in y and in B: the columns that both have.
    const int64_t width = std::min(layer.widths[slice], y.size(1) - layer.offsets[slice]);
    switch (tile.count) {
      case 1: add_products<T, 1, Y>(xs, ys, layer.inputs, width, m.rank, m.a.get(), m.b.get(), next); break;
      case 2: add_products<T, 2, Y>(xs, ys, layer.inputs, width, m.rank, m.a.get(), m.b.get(), next); break;
      case 4: add_products<T, 4, Y>(xs, ys, layer.inputs, width, m.rank, m.a.get(), m.b.get(), next); break;
      default: add_products<T, 8, Y>(xs, ys, layer.inputs, width, m.rank, m.a.get(), m.b.get(), next);
    }
  }
}

void add_lora(at::Tensor& y, const at::Tensor& x, int64_t index) {
  const Layer& layer = *layers.at(index);
  const Rows& rows = *all_rows[layer.rows];
  TORCH_CHECK(rows.slots * layer.widths.size() <= layer.matrices.size(), "LoRA: a row has a slot that the layer lacks");
  if (!concerns(layer, rows)) return;
  TORCH_CHECK(x.scalar_type() == (layer.bfloat16 ? at::kBFloat16 : at::kFloat), "LoRA: the input is ", x.scalar_type());
  TORCH_CHECK(x.dim() == 2 && y.dim() == 2 && x.size(0) == y.size(0), "LoRA: input and output differ in rows");
  TORCH_CHECK(x.size(1) == layer.inputs && y.size(1) > layer.offsets.back(), "LoRA: input or output is too narrow");
  TORCH_CHECK(x.stride(1) == 1 && y.stride(1) == 1, "LoRA: rows must be contiguous");
  TORCH_CHECK(rows.end <= x.size(0), "LoRA: a batch of ", x.size(0), " rows came with a mapping of ", rows.end);
  const bool narrow = y.scalar_type() == at::kBFloat16;
  TORCH_CHECK(narrow || y.scalar_type() == at::kFloat, "LoRA: the output is ", y.scalar_type());
  if (layer.bfloat16) narrow ? add<BFloat16, BFloat16>(layer, rows, x, y) : add<BFloat16, Float32>(layer, rows, x, y);
  else narrow ? add<Float32, BFloat16>(layer, rows, x, y) : add<Float32, Float32>(layer, rows, x, y);
}

template <class T>
Matrices packed(const Layer& layer, int64_t outputs, int rank, const void* a, int64_t a_stride, const void* b, int64_t b_stride) {
  using Scalar = typename T::Scalar;
  Matrices made;
  made.rank = padded_rank(rank);
  made.a = arena.take(made.rank * layer.inputs / T::kPerWord);
  made.b = arena.take(made.rank * padded_outputs(outputs) / T::kPerWord);
  pack_a<T>(static_cast<const Scalar*>(a), a_stride, rank, layer.inputs, reinterpret_cast<Scalar*>(made.a.get()));
  pack_b<T>(static_cast<const Scalar*>(b), b_stride, rank, outputs, reinterpret_cast<Scalar*>(made.b.get()));
  return made;
}

}  // namespace
}  // namespace lorarack

TORCH_LIBRARY_IMPL(lorarack, CPU, library) { library.impl("add_lora", lorarack::add_lora); }

using namespace lorarack;

// Called through ctypes; every argument has been checked by layers.py.
extern "C" {

int lorarack_new_rows() {
  all_rows.push_back(std::make_unique<Rows>());
  return int(all_rows.size()) - 1;
}

// Rows of one slot go into tiles of 8, 4, 2 or 1, small enough that every thread has some.
void lorarack_set_rows(int index, const int64_t* slots, int64_t count) {
  Rows& made = *all_rows[index];
  made.tiles.clear();
  made.end = made.slots = 0;
  int64_t used = 0, highest = -1;
  for (int64_t row = 0; row < count; ++row) {
    if (slots[row] < 0) continue;
    ++used;
    highest = std::max(highest, slots[row]);
    made.end = row + 1;
  }
  made.slots = highest + 1;
  std::vector<std::vector<int>> of_slot(made.slots);
  for (int64_t row = 0; row < count; ++row)
    if (slots[row] >= 0) of_slot[slots[row]].push_back(int(row));
  const int64_t share = std::max<int64_t>(1, used / omp_get_max_threads());
  for (int64_t slot = 0; slot <= highest; ++slot) {
    const std::vector<int>& mine = of_slot[slot];
    for (int64_t done = 0, left; (left = int64_t(mine.size()) - done) > 0;) {
      int size = kTile;
      while (size > 1 && (size > left || size > share)) size /= 2;
      Tile tile{int(slot), size, {}};
      std::copy_n(mine.begin() + done, size, tile.rows);
      made.tiles.push_back(tile);
      done += size;
    }
  }
}

int lorarack_new_layer(int rows, int bfloat16, int64_t inputs, int slices, const int64_t* widths, int slots) {
  auto made = std::make_unique<Layer>();
  made->rows = rows;
  made->bfloat16 = bfloat16;
  made->inputs = inputs;
  for (int i = 0; i < slices; ++i) {
    made->widths.push_back(widths[i]);
    made->offsets.push_back(made->outputs);
    made->outputs += widths[i];
  }
  made->matrices.resize(size_t(slots) * slices);
  layers.push_back(std::move(made));
  return int(layers.size()) - 1;
}

// 0, or 1 when there is no memory for the packed copy; the slot then keeps what it had.
int lorarack_put(int layer, int slot, int slice, int rank, const void* a, int64_t a_stride, const void* b, int64_t b_stride) {
  Layer& at = *layers[layer];
  const int64_t outputs = at.widths[slice];
  try {
    at.matrices[slot * at.widths.size() + slice] = at.bfloat16
        ? packed<BFloat16>(at, outputs, rank, a, a_stride, b, b_stride)
        : packed<Float32>(at, outputs, rank, a, a_stride, b, b_stride);
  } catch (const std::bad_alloc&) {
    return 1;
  }
  return 0;
}

void lorarack_clear(int layer, int slot) {
  Layer& at = *layers[layer];
  for (size_t slice = 0; slice < at.widths.size(); ++slice) at.matrices[slot * at.widths.size() + slice] = {};
}

// Adapters beside the slots, packed: a slot is a pointer to one. All return at once; none is called during a step.

// The number of a new adapter that is what the slot holds now.
int64_t lorarack_keep(int slot) {
  std::vector<Matrices> kept(all_slices());
  for_slot(slot, [&](Matrices& held, size_t place) { kept[place] = held; });
  adapters.emplace(++last_adapter, std::move(kept));
  arena.close_chunk();
  return last_adapter;
}

// Have the slot hold an adapter; 0 empties it.
void lorarack_use(int slot, int64_t adapter) {
  const auto found = adapters.find(adapter);
  for_slot(slot, [&](Matrices& held, size_t place) {
    held = found != adapters.end() && place < found->second.size() ? found->second[place] : Matrices{};
  });
}

void lorarack_drop(int64_t adapter) { adapters.erase(adapter); }

// The number of a new adapter, read from an image (image.h) of `words` words that begin at byte `start` of an open file. -1: there
// is no memory; -2: the image does not fit the layers; -3: it cannot be read.
int64_t lorarack_load(int file, int64_t start, int64_t words, int64_t count, const Piece* pieces) {
  std::vector<Matrices> made(all_slices());
  std::shared_ptr<uint32_t> all;
  std::vector<size_t> first(layers.size());
  for (size_t index = 1; index < layers.size(); ++index) first[index] = first[index - 1] + layers[index - 1]->widths.size();
  try {
    all = Arena::take_chunk(words);
  } catch (const std::bad_alloc&) {
    return -1;
  }
  for (const Piece* piece = pieces; piece < pieces + count; ++piece) {
    if (piece->layer < 0 || piece->layer >= int64_t(layers.size())) return -2;
    const Layer& layer = *layers[piece->layer];
    if (piece->slice < 0 || piece->slice >= int64_t(layer.widths.size()) || layer.bfloat16 != (piece->bfloat16 != 0)) return -2;
    if (piece->inputs != layer.inputs || piece->outputs != layer.widths[piece->slice]) return -2;
    if (piece->rank < 1 || piece->rank > kMaxRank || !piece->within(words)) return -2;
    Matrices& matrices = made[first[piece->layer] + piece->slice];
    matrices.rank = padded_rank(piece->rank);
    matrices.a = {all, all.get() + piece->a};
    matrices.b = {all, all.get() + piece->b};
  }
  if (!read_whole(file, start, reinterpret_cast<char*>(all.get()), words * 4)) return -3;
  adapters.emplace(++last_adapter, std::move(made));
  return last_adapter;
}

// Pack matrices at `from` into an image's `words` words at `to`, which are zero. The index of the first piece that is not finite
// afterwards; -1: all are.
int64_t lorarack_pack(int64_t count, const Source* sources, const Piece* pieces, const char* from, uint32_t* to) {
  for (int64_t i = 0; i < count; ++i)
    if (!(pieces[i].bfloat16 ? pack_piece<BFloat16>(sources[i], pieces[i], from, to)
                             : pack_piece<Float32>(sources[i], pieces[i], from, to)))
      return i;
  return -1;
}

int64_t lorarack_bytes() { return Arena::bytes(); }  // of packed weights

}  // extern "C"
