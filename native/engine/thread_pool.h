#pragma once
#include "ggml-backend.h"
#include "llama.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

// ggml's threads for the graphs of one context. Without them every graph view would start and join threads: twice as slow with a
// hook on each layer. Outlives the context.
class thread_pool {
public:
    thread_pool() : graph_(nullptr, ggml_free), backend_(nullptr, ggml_backend_free) {}
    ~thread_pool();
    thread_pool(const thread_pool &) = delete;
    thread_pool & operator=(const thread_pool &) = delete;

    // Has the context compute with this many threads from its next decode on.
    void attach(llama_context * context, int32_t n_threads);
    // Frees the pools that attach() replaced; only after a decode, in which the back end has paused them.
    void free_former();

    // As attach(), for no context. False where the CPU back end has no pools.
    bool start(int32_t n_threads);

    // Calls work(0) to work(n - 1), each on the next free thread. Only between decodes: after one, the threads still spin, and others would
    // share their processors with them. Throws what the failed call of the lowest number throws; some of those after it are left out.
    void for_each(int32_t n, const std::function<void(int32_t)> & work);

    // Has the threads sleep until the next work if there are as many as processors. Otherwise they spin for a quarter of a second, and
    // whoever continues, JavaScript above all, would share a processor with them; they start sooner, though.
    void rest();

private:
    // Prepares a graph whose only node calls run() on all threads.
    void prepare(int32_t n_threads);

    ggml_threadpool *                                               current_ = nullptr;
    uint32_t                                                        n_threads_ = 0; // current_ has as many
    std::vector<ggml_threadpool *>                                  former_;
    std::unique_ptr<ggml_context, decltype(&ggml_free)>             graph_;
    std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)>     backend_; // null where all work is done by the caller
    ggml_cgraph *                                                   nodes_ = nullptr;
    std::function<void()>                                           run_; // what the node calls
};
