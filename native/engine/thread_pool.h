#pragma once
#include "llama.h"

#include <vector>

// ggml's threads for the graphs of one context. Without them every graph view would start and join threads: twice as slow with a
// hook on each layer. Outlives the context.
class thread_pool {
public:
    thread_pool() = default;
    ~thread_pool();
    thread_pool(const thread_pool &) = delete;
    thread_pool & operator=(const thread_pool &) = delete;

    // Has the context compute with this many threads from its next decode on.
    void attach(llama_context * context, int32_t n_threads);
    // Frees the pools that attach() replaced; only after a decode, in which the back end has paused them.
    void free_former();

private:
    ggml_threadpool *              current_ = nullptr;
    std::vector<ggml_threadpool *> former_;
};
