// Compiled once for every instruction set, of which the best that runs is taken (Highway).
#include "engine/logit_sums.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/logit_sums.cc"
// In this order.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace verillm {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

float Largest(std::span<const float> logits) {
  const hn::ScalableTag<float> d;
  const std::size_t n_lanes = hn::Lanes(d);
  const std::size_t n_whole = logits.size() / n_lanes * n_lanes;
  auto largest = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto is_nan = hn::IsNaN(largest);
  for (std::size_t i = 0; i < n_whole; i += n_lanes) {
    const auto v = hn::LoadU(d, logits.data() + i);
    largest = hn::Max(largest, v);
    is_nan = hn::Or(is_nan, hn::IsNaN(v));
  }
  if (!hn::AllFalse(d, is_nan)) return std::numeric_limits<float>::quiet_NaN();
  float result = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (const float logit : logits.subspan(n_whole)) {
    if (std::isnan(logit)) return logit;
    result = std::max(result, logit);
  }
  return result;
}

double Sum(std::span<const float> logits, float best, float temperature, float least) {
  const hn::ScalableTag<float> d;
  const std::size_t n_lanes = hn::Lanes(d);
  const auto inverse = hn::Set(d, 1 / temperature);
  const auto weight_of = [&](hn::Vec<decltype(d)> logit) {
    // The bounds first: an infinity makes no sum infinite.
    const auto finite = hn::Clamp(logit, hn::Set(d, std::numeric_limits<float>::lowest()), hn::Set(d, best));
    const auto weight = hn::Exp(d, hn::Mul(hn::Sub(finite, hn::Set(d, best)), inverse));
    return hn::IfThenElseZero(hn::Ge(finite, hn::Set(d, least)), weight);
  };
  // A few terms a lane are added up in F32, their sums in double.
  constexpr std::size_t kTerms = 16;
  double sum = 0;
  std::size_t i = 0;
  while (i + n_lanes <= logits.size()) {
    auto block = hn::Zero(d);
    for (std::size_t term = 0; term < kTerms && i + n_lanes <= logits.size(); ++term, i += n_lanes) {
      block = hn::Add(block, weight_of(hn::LoadU(d, logits.data() + i)));
    }
    sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, block)));
  }
  for (; i < logits.size(); ++i) sum += static_cast<double>(hn::GetLane(weight_of(hn::Set(d, logits[i]))));
  return sum;
}

void AppendTokensFrom(std::span<const float> logits, float least, std::vector<Token>& tokens) {
  const hn::ScalableTag<float> d;
  const std::size_t n_lanes = hn::Lanes(d);
  const auto bound = hn::Set(d, least);
  for (std::size_t i = 0; i < logits.size(); i += n_lanes) {
    const std::size_t end = std::min(i + n_lanes, logits.size());
    // Most vectors have none.
    if (i + n_lanes == end && hn::AllFalse(d, hn::Ge(hn::LoadU(d, logits.data() + i), bound))) continue;
    for (std::size_t token = i; token < end; ++token) {
      if (logits[token] >= least) tokens.push_back(static_cast<Token>(token));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace verillm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace verillm {
namespace {

HWY_EXPORT(Largest);
HWY_EXPORT(Sum);
HWY_EXPORT(AppendTokensFrom);

// The least float that is not below; minus infinity where all finite ones are.
float LeastFloatFrom(double bound) {
  if (bound <= std::numeric_limits<float>::lowest()) return -std::numeric_limits<float>::infinity();
  const float nearest = static_cast<float>(std::min(bound, static_cast<double>(std::numeric_limits<float>::max())));
  return nearest < bound ? std::nextafter(nearest, std::numeric_limits<float>::infinity()) : nearest;
}

}  // namespace

float LargestLogit(std::span<const float> logits) { return HWY_DYNAMIC_DISPATCH(Largest)(logits); }

double SumOfWeights(std::span<const float> logits, double best, double temperature, double least) {
  return HWY_DYNAMIC_DISPATCH(Sum)(logits, static_cast<float>(best), static_cast<float>(temperature), LeastFloatFrom(least));
}

std::vector<Token> TokensFrom(std::span<const float> logits, double least) {
  std::vector<Token> tokens;
  HWY_DYNAMIC_DISPATCH(AppendTokensFrom)(logits, LeastFloatFrom(least), tokens);
  return tokens;
}

}  // namespace verillm
#endif  // HWY_ONCE
