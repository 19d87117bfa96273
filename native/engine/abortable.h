#pragma once
#include "llama.h"

#include <atomic>

// Work that can be stopped. The flag belongs to the thread that starts jobs: it clears the flag before it queues one.
class abortable {
public:
    void clear_abort() { abort_.store(false); }
    void request_abort() { abort_.store(true); }

protected:
    bool is_aborted() const { return abort_.load(); }

    // Has llama.cpp ask the flag while it computes.
    void stop_on_abort(llama_context_params & params) {
        params.abort_callback      = [](void * flag) { return static_cast<std::atomic<bool> *>(flag)->load(); };
        params.abort_callback_data = &abort_;
    }

private:
    std::atomic<bool> abort_{false};
};
