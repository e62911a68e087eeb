// Memory for weights, handed out front to back: what one adapter loads after the other lies together, so that a step reads it
// in order, over few and large pages. A piece keeps its chunk; a chunk goes when its last piece does.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

namespace lorarack {

class Arena {
 public:
  // `words` words of zeros, at the start of a cache line.
  std::shared_ptr<uint32_t> take(int64_t words) {
    const size_t bytes = (size_t(words) * 4 + 63) / 64 * 64;
    if (!chunk_ || used_ + bytes > chunk_->bytes) {
      chunk_ = std::make_shared<Chunk>(std::max(kChunk, bytes), total_);
      used_ = 0;
    }
    auto* at = reinterpret_cast<uint32_t*>(chunk_->memory + used_);
    used_ += bytes;
    return {chunk_, at};
  }

  int64_t bytes() const { return *total_; }  // of all chunks that are alive

 private:
  static constexpr size_t kHuge = size_t(2) << 20, kChunk = 8 * kHuge;

  struct Chunk {
    Chunk(size_t size, std::shared_ptr<int64_t> counter) : bytes(size), total(std::move(counter)) {
      void* got = mmap(nullptr, bytes + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (got == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
      madvise(got, bytes + kHuge, MADV_HUGEPAGE);  // only a wish
#endif
      mapped = got;
      memory = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(got) + kHuge - 1) / kHuge * kHuge);
      *total += int64_t(bytes);
    }
    ~Chunk() {
      munmap(mapped, bytes + kHuge);
      *total -= int64_t(bytes);
    }
    Chunk(const Chunk&) = delete;
    void* mapped;
    char* memory;
    size_t bytes;
    std::shared_ptr<int64_t> total;
  };

  std::shared_ptr<Chunk> chunk_;
  size_t used_ = 0;
  std::shared_ptr<int64_t> total_ = std::make_shared<int64_t>(0);
};

}  // namespace lorarack
