#include "engine/thread_pool.h"

#include "engine/cpu_backend.h"
#include "ggml-cpu.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

thread_pool::~thread_pool() {
    former_.push_back(current_);
    free_former();
}

void thread_pool::attach(llama_context * context, int32_t n_threads) {
    if (start(n_threads)) llama_attach_threadpool(context, current_, nullptr);
}

bool thread_pool::start(int32_t n_threads) {
    const auto create = cpu_function<ggml_threadpool * (*)(ggml_threadpool_params *)>("ggml_threadpool_new");
    if (create == nullptr) return false;
    ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
    former_.push_back(current_);
    current_   = create(&params);
    n_threads_ = uint32_t(n_threads);
    backend_.reset();
    if (n_threads > 1) prepare(n_threads);
    return true;
}

void thread_pool::free_former() {
    for (ggml_threadpool * pool : former_) {
        if (pool != nullptr) cpu_function<void (*)(ggml_threadpool *)>("ggml_threadpool_free")(pool);
    }
    former_.clear();
}

void thread_pool::prepare(int32_t n_threads) {
    const auto set_pool    = cpu_function<void (*)(ggml_backend_t, ggml_threadpool *)>("ggml_backend_cpu_set_threadpool");
    const auto set_threads = cpu_function<ggml_backend_set_n_threads_t>("ggml_backend_set_n_threads");
    if (set_pool == nullptr || set_threads == nullptr) return;
    constexpr size_t N_NODES = 1;
    graph_.reset(ggml_init({ggml_tensor_overhead() + ggml_graph_overhead_custom(N_NODES, false), nullptr, true}));
    backend_.reset(ggml_backend_dev_init(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), nullptr));
    if (!graph_ || !backend_) return backend_.reset();
    set_threads(backend_.get(), n_threads);
    set_pool(backend_.get(), current_);
    const ggml_custom_op_t call = [](ggml_tensor *, int, int, void * pool) { static_cast<thread_pool *>(pool)->run_(); };
    nodes_ = ggml_new_graph_custom(graph_.get(), N_NODES, false);
    ggml_build_forward_expand(nodes_, ggml_custom_4d(graph_.get(), GGML_TYPE_F32, 1, 1, 1, 1, nullptr, 0, call, GGML_N_TASKS_MAX, this));
}

void thread_pool::for_each(int32_t n, const std::function<void(int32_t)> & work) {
    std::atomic<int32_t> next{0};
    std::exception_ptr   failure; // none may leave ggml's threads
    int32_t              failed = n; // its number, the lowest so far
    std::mutex           mutex;
    run_ = [&] {
        for (int32_t i = next++; i < n; i = next++) {
            try {
                work(i);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(mutex);
                if (i < failed) failure = std::current_exception();
                failed = std::min(failed, i);
                next   = n;
            }
        }
    };
    if (n < 2 || !backend_ || ggml_backend_graph_compute(backend_.get(), nodes_) != GGML_STATUS_SUCCESS) run_();
    if (failure) std::rethrow_exception(failure);
}

void thread_pool::rest() {
    if (!backend_ || n_threads_ < std::thread::hardware_concurrency()) return;
    const auto set_pool = cpu_function<void (*)(ggml_backend_t, ggml_threadpool *)>("ggml_backend_cpu_set_threadpool");
    set_pool(backend_.get(), nullptr); // pauses the one that it had: ggml names no function of its own for that
    set_pool(backend_.get(), current_);
}
