#include "engine/thread_pool.h"

#include "engine/cpu_backend.h"
#include "ggml-cpu.h"

thread_pool::~thread_pool() {
    former_.push_back(current_);
    free_former();
}

void thread_pool::attach(llama_context * context, int32_t n_threads) {
    const auto create = cpu_function<ggml_threadpool * (*)(ggml_threadpool_params *)>("ggml_threadpool_new");
    if (create == nullptr) return;
    ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
    former_.push_back(current_);
    current_ = create(&params);
    llama_attach_threadpool(context, current_, nullptr);
}

void thread_pool::free_former() {
    for (ggml_threadpool * pool : former_) {
        if (pool != nullptr) cpu_function<void (*)(ggml_threadpool *)>("ggml_threadpool_free")(pool);
    }
    former_.clear();
}
