#include "receipt/receipt.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/time.h"
#include "receipt/canonical_json.h"

namespace verillm {
namespace {

constexpr std::string_view kFormat = "verillm-receipt";
constexpr int kReceiptVersion = 1;
constexpr std::size_t kMaxNonceDigits = 128;

bool IsHex(std::string_view text) {
  return text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

void Check(const Receipt& receipt) {
  const auto refuse = [](const std::string& what) { throw Error(ErrorKind::kInput, "receipt: " + what); };
  if (receipt.model.width < 1 || receipt.model.n_layer < 1 || receipt.model.n_vocab < 1) refuse("the model has no shape");
  if (receipt.n_prompt < 1 || receipt.n_output() < 1) {
    refuse(fmt::format("{} prompt tokens of {} leave nothing that was generated", receipt.n_prompt, receipt.tokens.size()));
  }
  for (const Token token : receipt.tokens) {
    if (token < 0 || token >= receipt.model.n_vocab)
      refuse(fmt::format("token {} is not one of the {} tokens", token, receipt.model.n_vocab));
  }
  if (receipt.plan.points.empty()) refuse("no capture point was committed to");
  CheckPlan(receipt.plan, receipt.model.n_layer);
  if (receipt.nonce.size() > kMaxNonceDigits || !IsHex(receipt.nonce)) {
    refuse(fmt::format("the nonce \"{}\" is not at most 64 bytes in lower-case hexadecimal", receipt.nonce));
  }
  ParseTime(receipt.time, "receipt: time");
}

}  // namespace

std::string ReceiptText(const Receipt& receipt) {
  Check(receipt);
  return CanonicalJson({{"format", kFormat},
                        {"format_version", kReceiptVersion},
                        {"model", ToJson(receipt.model)},
                        {"device", ToJson(receipt.device)},
                        {"schedule", ToJson(receipt.schedule)},
                        {"sampling", ToJson(receipt.sampling)},
                        {"plan", ToJson(receipt.plan)},
                        {"tokens", receipt.tokens},
                        {"n_prompt", receipt.n_prompt},
                        {"prompt_digest", ToHex(receipt.prompt_digest)},
                        {"root", ToHex(receipt.root)},
                        {"previous", receipt.previous ? Json(ToHex(*receipt.previous)) : Json(nullptr)},
                        {"nonce", receipt.nonce},
                        {"time", receipt.time}});
}

Receipt ParseReceipt(std::string_view text) {
  if (text.size() > kMaxReceiptBytes) {
    throw Error(ErrorKind::kInput,
                fmt::format("receipt: {} bytes are more than the {} that one may have", text.size(), kMaxReceiptBytes));
  }
  const Json json = ParseCanonicalJson(text, "receipt");
  JsonFields fields(json, "receipt");
  fields.ExpectFormat(kFormat, kReceiptVersion);
  Receipt receipt;
  receipt.model = ModelIdentityFromJson(fields.At("model"));
  receipt.device = DeviceIdentityFromJson(fields.At("device"));
  receipt.schedule = ScheduleFromJson(fields.At("schedule"));
  receipt.sampling = SamplingFromJson(fields.At("sampling"));
  receipt.plan = CapturePlanFromJson(fields.At("plan"));
  receipt.tokens = fields.Get<std::vector<Token>>("tokens");
  receipt.n_prompt = fields.Get<int>("n_prompt");
  receipt.prompt_digest = HashFromHex(fields.Get<std::string>("prompt_digest"), "receipt: prompt_digest");
  receipt.root = HashFromHex(fields.Get<std::string>("root"), "receipt: root");
  if (const Json& previous = fields.At("previous"); !previous.is_null()) {
    receipt.previous = HashFromHex(fields.Get<std::string>("previous"), "receipt: previous");
  }
  receipt.nonce = fields.Get<std::string>("nonce");
  receipt.time = fields.Get<std::string>("time");
  fields.Finish();
  try {
    Check(receipt);
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, error.what());  // a plan beyond the model is no usage error here
  }
  return receipt;
}

Hash ReceiptDigest(std::string_view text) { return Sha256({std::as_bytes(std::span(text))}); }

void CheckFollows(const Receipt& later, std::string_view earlier_text) {
  const Receipt earlier = ParseReceipt(earlier_text);
  const Hash digest = ReceiptDigest(earlier_text);
  if (later.previous != digest) {
    throw Error(ErrorKind::kInput, fmt::format("the receipt follows {}, not the one given, whose digest is {}",
                                               later.previous ? ToHex(*later.previous) : "none", ToHex(digest)));
  }
  if (ParseTime(later.time, "receipt: time") < ParseTime(earlier.time, "receipt: time")) {
    throw Error(ErrorKind::kInput,
                fmt::format("the receipt of {} is older than the one it follows, of {}", later.time, earlier.time));
  }
  if (!later.nonce.empty() && later.nonce == earlier.nonce) {
    throw Error(ErrorKind::kInput, fmt::format("the receipt repeats the nonce {} of the one it follows", later.nonce));
  }
}

}  // namespace verillm
