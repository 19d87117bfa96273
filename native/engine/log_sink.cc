#include "engine/log_sink.h"

#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {
thread_local log_sink * current = nullptr;
}

log_sink::log_sink() : outer_(current) {
    current = this;
}

log_sink::~log_sink() {
    current = outer_;
}

void log_sink::install() {
    llama_log_set([](ggml_log_level level, const char * text, void * user_data) { on_log(level, text, user_data); }, nullptr);
}

void log_sink::on_log(int level, const char * text, void * /*user_data*/) {
    static const bool verbose = [] {
        const char * value = std::getenv("LLAMA_STEER_DEBUG");
        return value != nullptr && std::strstr(value, "llama") != nullptr;
    }();
    if (verbose) std::fputs(text, stderr);
    if (current == nullptr || level != GGML_LOG_LEVEL_ERROR) return;
    std::string line(text);
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    if (current->first_error_.empty()) current->first_error_ = line;
}
