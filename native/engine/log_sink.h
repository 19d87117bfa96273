#pragma once
#include <string>

// Remembers what llama.cpp first reports as an error on this thread while it lives: the later lines only say that a
// caller failed too.
// llama.cpp has one log callback per process; LLAMA_STEER_DEBUG=llama sends everything to stderr instead.
class log_sink {
public:
    log_sink();
    ~log_sink();
    log_sink(const log_sink &) = delete;
    log_sink & operator=(const log_sink &) = delete;

    // `reason`, and behind it the first error line where there was one.
    std::string explain(const std::string & reason) const { return first_error_.empty() ? reason : reason + ": " + first_error_; }

    // Installs the process's callback; call after anything else that installs one.
    static void install();

private:
    static void on_log(int level, const char * text, void * user_data);

    std::string first_error_;
    log_sink *  outer_;
};
