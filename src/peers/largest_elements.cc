#include "peers/largest_elements.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "base/error.h"

namespace verillm {
namespace {

// Elements whose largest magnitude is found at once. Nearly all blocks hold nothing that matters, so that the run is read once in
// vector operations and little of it again.
constexpr std::size_t kBlockElements = 64;

// 0x7FFF clears the sign. Magnitudes fit into 15 bits, and the oldest vector instructions have a maximum of signed 16-bit numbers
// only.
using Magnitude = std::int16_t;

struct Element {
  Magnitude magnitude;
  std::uint32_t index;
};

class Elements {
 public:
  Elements(std::span<const std::byte> bytes, StateType type)
      : bytes_(bytes), nan_(static_cast<Magnitude>(type == StateType::kBF16 ? 0x7F81 : 0x7C01)) {}

  std::size_t size() const { return bytes_.size() / 2; }
  std::size_t n_blocks() const { return (size() + kBlockElements - 1) / kBlockElements; }
  std::size_t BlockEnd(std::size_t block) const { return std::min(size(), (block + 1) * kBlockElements); }

  Magnitude At(std::size_t index) const { return std::min(nan_, Load(index)); }

  Magnitude LargestOfBlock(std::size_t block) const {
    const std::size_t begin = block * kBlockElements;
    Magnitude largest = 0;
    if (begin + kBlockElements <= size()) {
      // The fixed number of rounds is what lets the compiler use vectors throughout.
      for (std::size_t i = 0; i < kBlockElements; ++i) largest = std::max(largest, Load(begin + i));
    } else {
      for (std::size_t i = begin; i < size(); ++i) largest = std::max(largest, Load(i));
    }
    return std::min(nan_, largest);
  }

 private:
  Magnitude Load(std::size_t index) const {
    std::uint16_t bits;
    std::memcpy(&bits, bytes_.data() + 2 * index, 2);
    return static_cast<Magnitude>(bits & 0x7FFF);
  }

  std::span<const std::byte> bytes_;
  Magnitude nan_;  // every NaN counts as the smallest one
};

std::vector<std::uint32_t> LowestIndexFirst(const Elements& elements, std::size_t k) {
  std::vector<Magnitude> largest(elements.n_blocks());
  for (std::size_t block = 0; block < largest.size(); ++block) largest[block] = elements.LargestOfBlock(block);
  // Each of the k best blocks has an element as large as the k-th of them, so nothing smaller is among the k largest elements.
  Magnitude least = 0;
  if (largest.size() >= k) {
    std::vector<Magnitude> order = largest;
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k - 1), order.end(), std::greater());
    least = order[k - 1];
  }

  // Keys that are larger for larger magnitudes and, among equal ones, for lower indices.
  std::vector<std::uint64_t> keys;
  for (std::size_t block = 0; block < largest.size(); ++block) {
    if (largest[block] < least) continue;
    for (std::size_t i = block * kBlockElements; i < elements.BlockEnd(block); ++i) {
      const Magnitude magnitude = elements.At(i);
      if (magnitude >= least) keys.push_back((static_cast<std::uint64_t>(magnitude) << 32) | (0xFFFFFFFF - i));
    }
  }
  std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(k - 1), keys.end(), std::greater());
  std::vector<std::uint32_t> indices(k);
  for (std::size_t i = 0; i < k; ++i) indices[i] = 0xFFFFFFFF - static_cast<std::uint32_t>(keys[i]);
  return indices;
}

// The k elements that std::partial_sort of libstdc++ would put first (in another order). It makes a heap of the first k elements,
// the smallest on top, and lets every later one that is larger than the top replace it. Among equal elements it depends on the
// heap's layout which one is on top, hence the same layout here: a hole goes down to a leaf along the smaller children (the
// second one of two equal), and the new element comes up from there past what is larger than itself.
class HeapOfLargest {
 public:
  explicit HeapOfLargest(std::vector<Element> first) : heap_(std::move(first)) {
    for (std::size_t parent = heap_.size() / 2; parent-- > 0;) Place(heap_[parent], parent);
  }

  Magnitude smallest() const { return heap_.front().magnitude; }
  void ReplaceSmallest(Element element) { Place(element, 0); }
  const std::vector<Element>& elements() const { return heap_; }

 private:
  void Place(Element element, std::size_t top) {
    std::size_t hole = top;
    while (2 * hole + 1 < heap_.size()) {
      std::size_t child = 2 * hole + 2;
      if (child == heap_.size() || heap_[child].magnitude > heap_[child - 1].magnitude) --child;
      heap_[hole] = heap_[child];
      hole = child;
    }
    while (hole > top && heap_[(hole - 1) / 2].magnitude > element.magnitude) {
      heap_[hole] = heap_[(hole - 1) / 2];
      hole = (hole - 1) / 2;
    }
    heap_[hole] = element;
  }

  std::vector<Element> heap_;
};

std::vector<Element> HeapSelect(const Elements& elements, std::size_t k) {
  std::vector<Element> first(k);
  for (std::size_t i = 0; i < k; ++i) first[i] = {elements.At(i), static_cast<std::uint32_t>(i)};
  HeapOfLargest heap(std::move(first));
  for (std::size_t block = k / kBlockElements; block < elements.n_blocks(); ++block) {
    if (elements.LargestOfBlock(block) <= heap.smallest()) continue;
    for (std::size_t i = std::max(k, block * kBlockElements); i < elements.BlockEnd(block); ++i) {
      const Magnitude magnitude = elements.At(i);
      if (magnitude > heap.smallest()) heap.ReplaceSmallest({magnitude, static_cast<std::uint32_t>(i)});
    }
  }
  return heap.elements();
}

std::vector<Element> IntroSelect(const Elements& elements, std::size_t k) {
  std::vector<Element> all(elements.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = {elements.At(i), static_cast<std::uint32_t>(i)};
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k - 1), all.end(),
                   [](const Element& a, const Element& b) { return a.magnitude > b.magnitude; });
  all.resize(k);
  return all;
}

std::vector<std::uint32_t> AsTorchOnCpu(const Elements& elements, std::size_t k) {
  const std::vector<Element> chosen = k * 64 <= elements.size() ? HeapSelect(elements, k) : IntroSelect(elements, k);
  std::vector<std::uint32_t> indices;
  for (const Element& element : chosen) indices.push_back(element.index);
  return indices;
}

}  // namespace

std::string_view TieRuleName(TieRule rule) {
  switch (rule) {
    case TieRule::kLowestIndex:
      return "lowest-index";
    case TieRule::kTorchCpu:
      return "torch-cpu";
  }
  return "unknown";
}

TieRule TieRuleFromName(std::string_view name) {
  for (const TieRule rule : {TieRule::kLowestIndex, TieRule::kTorchCpu}) {
    if (TieRuleName(rule) == name) return rule;
  }
  throw Error(ErrorKind::kUsage, fmt::format("unknown tie rule \"{}\": choose lowest-index or torch-cpu", name));
}

std::vector<std::uint32_t> LargestElements(std::span<const std::byte> elements, StateType type, std::size_t k, TieRule rule) {
  const Elements all(elements, type);
  std::vector<std::uint32_t> indices = rule == TieRule::kLowestIndex ? LowestIndexFirst(all, k) : AsTorchOnCpu(all, k);
  std::sort(indices.begin(), indices.end());
  return indices;
}

}  // namespace verillm
