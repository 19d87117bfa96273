#include "engine/log_sink.h"

#include "llama.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <mutex>

namespace {

struct listener {
    ggml_log_callback callback;
    void *            user_data;
};

thread_local log_sink *       current = nullptr;
std::atomic<const listener *> former{nullptr}; // whose callback ours replaced

bool is_verbose() {
    static const bool verbose = [] {
        const char * value = std::getenv("LLAMA_STEER_DEBUG");
        return value != nullptr && std::strstr(value, "llama") != nullptr;
    }();
    return verbose;
}

} // namespace

log_sink::log_sink() : outer_(current) {
    current = this;
    take_over();
}

log_sink::~log_sink() {
    current = outer_;
}

// Whenever somebody else has set a callback since: node-llama-cpp sets its own whenever a thread loads it.
void log_sink::take_over() {
    const auto own = [](ggml_log_level level, const char * text, void *) { on_log(level, text); };
    static const ggml_log_callback callback = own;
    listener found{};
    llama_log_get(&found.callback, &found.user_data);
    if (found.callback == callback) return;

    static std::mutex mutex;
    static auto &     listeners = *new std::list<listener>; // never freed: a thread may still be calling an earlier one
    const std::lock_guard<std::mutex> lock(mutex);
    llama_log_get(&found.callback, &found.user_data);
    if (found.callback == callback) return;
    listener fallback{}; // llama.cpp's own callback prints to stderr: nobody set it to listen
    llama_log_set(nullptr, nullptr);
    llama_log_get(&fallback.callback, &fallback.user_data);
    if (found.callback != fallback.callback) former = &listeners.emplace_back(found);
    llama_log_set(callback, nullptr);
}

void log_sink::on_log(int level, const char * text) {
    if (is_verbose()) std::fputs(text, stderr);
    if (current == nullptr) {
        if (const listener * other = former) other->callback(ggml_log_level(level), text, other->user_data);
        return;
    }
    if (level != GGML_LOG_LEVEL_ERROR || !current->first_error_.empty()) return;
    std::string line(text);
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    current->first_error_ = line;
}
