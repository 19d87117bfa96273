#pragma once
#include <string>

// Collects what llama.cpp reports as errors and warnings on this thread while it lives.
// llama.cpp has one log callback per process; LLAMA_STEER_DEBUG=llama sends everything to stderr instead.
class log_sink {
public:
    log_sink();
    ~log_sink();
    log_sink(const log_sink &) = delete;
    log_sink & operator=(const log_sink &) = delete;

    // The last error line, trimmed, or an empty string.
    std::string last_error() const { return last_error_; }

    // Installs the process's callback; call after anything else that installs one.
    static void install();

private:
    static void on_log(int level, const char * text, void * user_data);

    std::string last_error_;
    log_sink *  outer_;
};
