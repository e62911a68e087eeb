// Memory for weights, in few and large pages. A piece keeps its chunk; a chunk goes when its last piece does.
//
// New pages cost more than what is written to them: they are filled with zeros, and others moved to find large ones. So a chunk of one
// adapter that goes is kept for the next, and one is made ready beforehand, by a thread of its own.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace lorarack {

class Arena {
 public:
  // `words` words of zeros at the start of a cache line, front to back: what one adapter puts one after the other lies together.
  std::shared_ptr<uint32_t> take(int64_t words) {
    const size_t bytes = (size_t(words) * 4 + 63) / 64 * 64;
    if (!chunk_ || used_ + bytes > chunk_->bytes) {
      chunk_ = std::make_shared<Chunk>(std::max(8 * kHuge, bytes));
      used_ = 0;
    }
    auto* at = reinterpret_cast<uint32_t*>(chunk_->memory + used_);
    used_ += bytes;
    return {chunk_, at};
  }

  // What is taken next lies in another chunk, so that it does not keep what was taken before.
  void close_chunk() { chunk_.reset(); }

  // `words` words that hold anything, in a chunk of their own.
  static std::shared_ptr<uint32_t> take_chunk(int64_t words) {
    const auto chunk = Spares::chunk((size_t(words) * 4 + kHuge - 1) / kHuge * kHuge);
    return {chunk, reinterpret_cast<uint32_t*>(chunk->memory)};
  }

  static int64_t bytes() { return total; }  // of all chunks, without spares

 private:
  static constexpr size_t kHuge = size_t(2) << 20, kSpares = 2;
  static inline std::atomic<int64_t> total{0};

  struct Chunk {
    explicit Chunk(size_t size) : bytes(size) {
      void* got = mmap(nullptr, bytes + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (got == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
      madvise(got, bytes + kHuge, MADV_HUGEPAGE);  // only a wish
#endif
      mapped = got;
      memory = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(got) + kHuge - 1) / kHuge * kHuge);
      total += int64_t(bytes);
    }
    ~Chunk() {
      munmap(mapped, bytes + kHuge);
      total -= int64_t(bytes);
    }
    Chunk(const Chunk&) = delete;
    void* mapped;
    char* memory;
    size_t bytes;
  };

  // Chunks that nothing is in. Never destroyed: a thread may be at work when the process ends.
  class Spares {
   public:
    static std::shared_ptr<Chunk> chunk(size_t bytes) {
      auto found = spares().find(bytes);
      if (!found) found = std::make_unique<Chunk>(bytes);
      return {found.release(), &Spares::put_back};
    }

   private:
    static Spares& spares() {
      static auto* all = new Spares;
      return *all;
    }

    std::unique_ptr<Chunk> find(size_t bytes) {
      std::unique_ptr<Chunk> found;
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto fitting = std::find_if(chunks_.begin(), chunks_.end(), [&](const auto& each) {
        return each->bytes >= bytes && each->bytes <= 2 * bytes;
      });
      if (fitting != chunks_.end()) {
        found = std::move(*fitting);
        chunks_.erase(fitting);
        total += int64_t(found->bytes);
      }
      if (chunks_.empty() && !preparing_) try {
          std::thread(&Spares::prepare, this, bytes).detach();
          preparing_ = true;
        } catch (const std::system_error&) {  // no thread to be had: the next one is made when it is needed
        }
      return found;
    }

    static void put_back(Chunk* chunk) { spares().add(std::unique_ptr<Chunk>(chunk)); }

    void add(std::unique_ptr<Chunk> chunk) {
      const std::lock_guard<std::mutex> lock(mutex_);
      total -= int64_t(chunk->bytes);
      chunks_.push_back(std::move(chunk));
      if (chunks_.size() > kSpares) {
        total += int64_t(chunks_.front()->bytes);  // as its end takes it off again
        chunks_.erase(chunks_.begin());
      }
    }

    void prepare(size_t bytes) {
      std::unique_ptr<Chunk> made;
      try {
        made = std::make_unique<Chunk>(bytes);
        for (size_t at = 0; at < bytes; at += 4096) static_cast<volatile char*>(made->memory)[at] = 0;
      } catch (const std::bad_alloc&) {  // whoever needs one will hear of it
      }
      if (made) add(std::move(made));
      const std::lock_guard<std::mutex> lock(mutex_);
      preparing_ = false;
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<Chunk>> chunks_;  // the one that has been here longest first
    bool preparing_ = false;
  };

  std::shared_ptr<Chunk> chunk_;
  size_t used_ = 0;
};

}  // namespace lorarack
