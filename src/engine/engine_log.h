// What llama.cpp and ggml say goes to our log instead of standard error.
#ifndef VERILLM_ENGINE_ENGINE_LOG_H_
#define VERILLM_ENGINE_ENGINE_LOG_H_

namespace verillm {

// To be called before anything else of llama.cpp; more than once does no harm.
void RedirectEngineLog();

// While it lives, warnings are no more than debug messages.
class QuietEngineLog {
 public:
  QuietEngineLog();
  ~QuietEngineLog();
  QuietEngineLog(const QuietEngineLog&) = delete;
  QuietEngineLog& operator=(const QuietEngineLog&) = delete;
};

}  // namespace verillm

#endif  // VERILLM_ENGINE_ENGINE_LOG_H_
