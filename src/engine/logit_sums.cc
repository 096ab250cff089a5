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

double Sum(std::span<const float> logits, double best, double temperature, double least) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d_logit;
  const std::size_t n_lanes = hn::Lanes(d);
  const auto inverse = hn::Set(d, 1 / temperature);
  const auto weight_of = [&](hn::Vec<decltype(d_logit)> logit) {
    const auto finite = hn::Clamp(logit, hn::Set(d_logit, std::numeric_limits<float>::lowest()),
                                  hn::Set(d_logit, std::numeric_limits<float>::max()));
    const auto wide = hn::PromoteTo(d, finite);
    const auto weight = hn::Exp(d, hn::Mul(hn::Sub(wide, hn::Set(d, best)), inverse));
    return hn::IfThenElseZero(hn::Ge(wide, hn::Set(d, least)), weight);
  };
  auto even = hn::Zero(d);
  auto odd = hn::Zero(d);
  std::size_t i = 0;
  for (; i + 2 * n_lanes <= logits.size(); i += 2 * n_lanes) {
    even = hn::Add(even, weight_of(hn::LoadU(d_logit, logits.data() + i)));
    odd = hn::Add(odd, weight_of(hn::LoadU(d_logit, logits.data() + i + n_lanes)));
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < logits.size(); ++i) sum += hn::GetLane(weight_of(hn::Set(d_logit, logits[i])));
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

}  // namespace

float LargestLogit(std::span<const float> logits) { return HWY_DYNAMIC_DISPATCH(Largest)(logits); }

double SumOfWeights(std::span<const float> logits, double best, double temperature, double least) {
  return HWY_DYNAMIC_DISPATCH(Sum)(logits, best, temperature, least);
}

std::vector<Token> TokensFrom(std::span<const float> logits, double least) {
  // The least float that is not below.
  float bound = -std::numeric_limits<float>::infinity();
  if (least > std::numeric_limits<float>::lowest()) {
    bound = static_cast<float>(std::min(least, static_cast<double>(std::numeric_limits<float>::max())));
    if (bound < least) bound = std::nextafter(bound, std::numeric_limits<float>::infinity());
  }
  std::vector<Token> tokens;
  HWY_DYNAMIC_DISPATCH(AppendTokensFrom)(logits, bound, tokens);
  return tokens;
}

}  // namespace verillm
#endif  // HWY_ONCE
