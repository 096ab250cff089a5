// Reports as pages: of an experiment, and of a single verification. Verdicts come first.
#ifndef VERILLM_PAGE_REPORT_PAGES_H_
#define VERILLM_PAGE_REPORT_PAGES_H_

#include <filesystem>
#include <string>

namespace verillm {

// The page of a folder of results of `verillm experiment run`. Error(kIo) or Error(kInput) where it holds none.
std::string ExperimentPage(const std::filesystem::path& folder);

// The page of what `verillm verify --json` printed into a file. Error(kIo) or Error(kInput).
std::string VerificationPage(const std::filesystem::path& file);

}  // namespace verillm

#endif  // VERILLM_PAGE_REPORT_PAGES_H_
