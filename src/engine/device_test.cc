#include "engine/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::StartsWith;

// Flags of this machine's CPU; empty where the system lists none.
std::set<std::string> FlagsInCpuInfo() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

std::vector<DeviceCandidate> CpuCandidates() {
  std::vector<DeviceCandidate> variants = ListDevices();
  std::erase_if(variants, [](const DeviceCandidate& candidate) { return candidate.backend != "CPU"; });
  return variants;
}

TEST(ListDevices, NamesAreUniqueAndCpuVariantsThatRunComeFirst) {
  const std::vector<DeviceCandidate> candidates = ListDevices();
  ASSERT_THAT(candidates, Not(IsEmpty()));
  EXPECT_EQ(candidates.front().backend, "CPU");
  EXPECT_TRUE(candidates.front().can_run);
  std::set<std::string> names;
  for (const DeviceCandidate& candidate : candidates) EXPECT_TRUE(names.insert(candidate.name).second) << candidate.name;
  const auto is_cpu = [](const DeviceCandidate& candidate) { return candidate.backend == "CPU"; };
  EXPECT_TRUE(std::is_partitioned(candidates.begin(), candidates.end(), is_cpu));
  const std::vector<DeviceCandidate> variants = CpuCandidates();
  const auto can_run = [](const DeviceCandidate& variant) { return variant.can_run; };
  EXPECT_TRUE(std::is_partitioned(variants.begin(), variants.end(), can_run));
}

// A variant that needs all of another's features and more is the better one.
TEST(ListDevices, PutsTheBestCpuVariantFirst) {
  const std::vector<DeviceCandidate> variants = CpuCandidates();
  for (std::size_t i = 0; i < variants.size(); ++i) {
    const std::set<std::string> features(variants[i].features.begin(), variants[i].features.end());
    for (std::size_t later = i + 1; later < variants.size() && variants[later].can_run; ++later) {
      const std::set<std::string> of_later(variants[later].features.begin(), variants[later].features.end());
      const bool has_all = std::includes(of_later.begin(), of_later.end(), features.begin(), features.end());
      EXPECT_FALSE(has_all && of_later.size() > features.size()) << variants[i].name << " stands before " << variants[later].name;
    }
  }
}

// can_run is ggml's own score; the features are our table. Both must say the same of every variant.
TEST(ListDevices, TableOfFeaturesAgreesWithGgmlsScore) {
  const std::set<std::string> flags = FlagsInCpuInfo();
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo lists no flags here";
  for (const DeviceCandidate& variant : CpuCandidates()) {
    EXPECT_EQ(variant.features.empty(), variant.name == "cpu:x64" || variant.name == "cpu:armv8.0_1")
        << variant.name << " is missing in the table";
    const auto is_here = [&](const std::string& feature) { return flags.contains(feature); };
    const bool has_all = std::all_of(variant.features.begin(), variant.features.end(), is_here);
    EXPECT_EQ(variant.can_run, has_all) << variant.name;
  }
}

TEST(ListDevices, GivesAReasonExactlyWhereADeviceCannotRun) {
  for (const DeviceCandidate& candidate : ListDevices()) {
    EXPECT_EQ(candidate.reason.empty(), candidate.can_run) << candidate.name;
    EXPECT_THAT(candidate.reason, AnyOf(IsEmpty(), StartsWith("this CPU lacks "), HasSubstr("built without"),
                                        HasSubstr("finds no device"), HasSubstr("does not load")));
  }
}

TEST(ListDevices, ListsTheGpuFamiliesEvenWhereTheyAreNotBuilt) {
  std::vector<std::string> names;
  for (const DeviceCandidate& candidate : ListDevices()) names.push_back(candidate.name);
  EXPECT_THAT(names, AllOf(Contains("cuda:0"), Contains("vulkan:0"), Contains("metal:0")));
  EXPECT_THAT(names, Not(Contains("mps:0"))) << "another name of metal:0";
}

DeviceCandidate Candidate(std::string name, std::string backend, std::vector<std::string> features = {}, bool can_run = true) {
  return {.name = std::move(name),
          .backend = std::move(backend),
          .features = std::move(features),
          .software = false,
          .can_run = can_run,
          .reason = can_run ? "" : "no"};
}

const DeviceCandidate kSkylakeX = Candidate("cpu:skylakex", "CPU", {"sse4_2", "avx", "avx2", "avx512f"});
const DeviceCandidate kHaswell = Candidate("cpu:haswell", "CPU", {"sse4_2", "avx", "avx2"});
const DeviceCandidate kSandyBridge = Candidate("cpu:sandybridge", "CPU", {"sse4_2", "avx"});
const DeviceCandidate kSse42 = Candidate("cpu:sse42", "CPU", {"sse4_2"});
const DeviceCandidate kX64 = Candidate("cpu:x64", "CPU");
const DeviceCandidate kBlas = Candidate("blas", "BLAS");
const DeviceCandidate kCuda = Candidate("cuda:0", "CUDA");

TEST(MostDifferentDevices, PrefersAGpuToEveryCpuVariant) {
  EXPECT_THAT(MostDifferentDevices({kSkylakeX, kHaswell, kX64, kBlas, kCuda}), Pair("cpu:skylakex", "cuda:0"));
}

TEST(MostDifferentDevices, PassesOverWhatCannotRun) {
  const DeviceCandidate sapphire_rapids = Candidate("cpu:sapphirerapids", "CPU", {"avx512f", "amx_int8"}, false);
  const DeviceCandidate cuda = Candidate("cuda:0", "CUDA", {}, false);
  EXPECT_THAT(MostDifferentDevices({sapphire_rapids, kHaswell, kX64, cuda}), Pair("cpu:haswell", "cpu:x64"));
}

TEST(MostDifferentDevices, TakesTheBestVariantOfHalfTheVectorWidth) {
  EXPECT_THAT(MostDifferentDevices({kSkylakeX, kHaswell, kSandyBridge, kSse42, kX64}), Pair("cpu:skylakex", "cpu:haswell"));
  EXPECT_THAT(MostDifferentDevices({kHaswell, kSandyBridge, kSse42, kX64}), Pair("cpu:haswell", "cpu:sse42"));
}

TEST(MostDifferentDevices, TakesAVariantOfTheSameWidthBeforeBlas) {
  EXPECT_THAT(MostDifferentDevices({kHaswell, kSandyBridge, kBlas}), Pair("cpu:haswell", "cpu:sandybridge"));
}

TEST(MostDifferentDevices, TakesBlasOnlyWhereNothingElseRuns) {
  EXPECT_THAT(MostDifferentDevices({kHaswell, kX64, kBlas}), Pair("cpu:haswell", "cpu:x64"));
  EXPECT_THAT(MostDifferentDevices({kX64, kBlas}), Pair("cpu:x64", "blas"));
}

TEST(MostDifferentDevices, TakesASoftwareGpuOnlyWhereNothingElseRuns) {
  DeviceCandidate llvmpipe = Candidate("vulkan:0", "Vulkan");
  llvmpipe.software = true;
  EXPECT_THAT(MostDifferentDevices({kSkylakeX, kHaswell, llvmpipe}), Pair("cpu:skylakex", "cpu:haswell"));
  EXPECT_THAT(MostDifferentDevices({kX64, llvmpipe}), Pair("cpu:x64", "vulkan:0"));
}

TEST(MostDifferentDevices, FewerThanTwoAreAUsageError) {
  const std::vector<std::vector<DeviceCandidate>> lists = {
      {}, {kX64}, {kBlas}, {kX64, Candidate("blas", "BLAS", {}, false)}, {Candidate("cpu:haswell", "CPU", {}, false), kX64}};
  for (const auto& candidates : lists) {
    ExpectError([&] { MostDifferentDevices(candidates); }, ErrorKind::kUsage, HasSubstr("verillm devices"));
  }
}

// A process opens one device only, and says so before it looks at a name: the tests of this program that open one all open "cpu",
// and those of names come first (under ctest each has a process of its own).
TEST(Device, UnknownNameIsAUsageErrorThatListsTheKnownOnes) {
  const std::string best = ListDevices().front().name;
  for (const char* const name : {"", "cpu:", "cpu:nonsense", "tpu", "CPU", "blas:0"}) {
    try {
      Device::Open(name);
      ADD_FAILURE() << name << " opened";
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kWorker) GTEST_SKIP() << "another test of this process has opened a device";
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(),
                  AllOf(HasSubstr("unknown device \"" + std::string(name) + "\""), HasSubstr(" cpu, "), HasSubstr(best)));
    }
  }
}

TEST(Device, VariantThatCannotRunIsAUsageErrorWithTheReason) {
  for (const DeviceCandidate& candidate : ListDevices()) {
    if (candidate.can_run) continue;
    try {
      Device::Open(candidate.name);
      ADD_FAILURE() << candidate.name << " opened";
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kWorker) GTEST_SKIP() << "another test of this process has opened a device";
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(), AllOf(HasSubstr(candidate.name), HasSubstr("cannot run here")));
    }
  }
}

TEST(Device, CpuIsTheBestVariant) {
  const DeviceCandidate best = ListDevices().front();
  const Device device = Device::Open("cpu");
  EXPECT_EQ(device.identity().name, best.name);
  EXPECT_EQ(device.identity().backend, "CPU");
  EXPECT_THAT(device.identity().description, Not(IsEmpty()));
  EXPECT_THAT(device.identity().features, Not(IsEmpty()));
  EXPECT_THAT(device.identity().engine, StartsWith("llama.cpp "));
  EXPECT_GT(device.identity().memory_total, std::uint64_t{1} << 28);
  EXPECT_EQ(device.offload(), nullptr);
  EXPECT_TRUE(device.repacks_weights());
}

TEST(Device, OpensAgainWhatIsOpenButNothingElse) {
  const DeviceIdentity identity = Device::Open("cpu").identity();
  EXPECT_EQ(Device::Open("cpu").identity(), identity);
  ExpectError([] { Device::Open("cpu:x64"); }, ErrorKind::kWorker, AllOf(HasSubstr("has opened cpu"), HasSubstr("cpu:x64")));
}

}  // namespace
}  // namespace verillm
