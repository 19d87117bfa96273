#pragma once
#include <string>

// Keeps what llama.cpp logs on this thread to itself while it lives, and remembers the first error: the lines after it only say that
// a caller failed too. Sinks nest; the innermost one listens. LLAMA_STEER_DEBUG=llama prints everything to stderr.
//
// llama.cpp has one log callback per process. Ours passes on what is logged on threads without a sink, so that whoever set a callback
// before (node-llama-cpp in the same process) still gets the log of its own work, and none of ours.
class log_sink {
public:
    log_sink();
    ~log_sink();
    log_sink(const log_sink &) = delete;
    log_sink & operator=(const log_sink &) = delete;

    // `reason`, followed by the first error where there was one.
    std::string explain(const std::string & reason) const { return first_error_.empty() ? reason : reason + ": " + first_error_; }

private:
    static void take_over();
    static void on_log(int level, const char * text);

    std::string first_error_;
    log_sink *  outer_;
};
