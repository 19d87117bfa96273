// The yardstick of the benchmark: what llama.cpp does in a plain llama_decode loop, with a context like llama-steer's
// (native/engine/llama_session.cc) but without its hook. It does one round per line read, so that a benchmark can
// take turns with it (test/bench/parts/plain-loop.ts):
//
//   plain-loop LIBRARIES_FOLDER MODEL N_CTX N_BATCH N_SEQ_MAX N_THREADS [GPU_BACK_END...]
//
//   decode B N TOKEN...   N greedy tokens on each of B sequences in lockstep, after a prompt that each has for itself
//                         {"seconds" for the N steps alone, "tokens": [[sequence 0], ...]}
//   rows R N TOKEN...     N decodes of R rows with logits, a row per sequence, after a prompt that they share; no sampling
//                         {"seconds" for the N decodes alone}
//   prefill N             N prompt tokens on one sequence, N_BATCH at a time; no logits
//                         {"seconds", "tokensPerSecond"}
//   rss                   {"rss", "peakRss"} in bytes; null without /proc
//
// The first line it prints is {"nCtx", "nBatch", "nVocab"}; a command that fails prints {"error"}. Every command
// starts with an empty KV cache. As in llama-steer, the last token of a prompt is the first step's input: a step is one
// llama_decode and the choice of one token.
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point begun) {
    return std::chrono::duration<double>(clock_type::now() - begun).count();
}

class plain_loop {
public:
    plain_loop(const char * path, uint32_t n_ctx, uint32_t n_batch, uint32_t n_seq_max, int32_t n_threads);
    ~plain_loop();

    std::string describe() const;
    std::string decode(int32_t n_seq, int32_t n_steps, const std::vector<llama_token> & prompt);
    std::string rows(int32_t n_rows, int32_t n_steps, const std::vector<llama_token> & prompt);
    std::string prefill(int32_t n_tokens);

private:
    void check(int32_t n_seq, int32_t n_steps, const std::vector<llama_token> & prompt) const;
    void clear() { llama_memory_clear(llama_get_memory(context_.get()), false); }
    void add(llama_token token, llama_pos position, llama_seq_id sequence, bool logits);
    void run();
    void feed(const llama_token * tokens, int32_t n, llama_seq_id sequence);

    int32_t n_vocab_;
    std::unique_ptr<llama_model, decltype(&llama_model_free)> model_{nullptr, llama_model_free};
    std::unique_ptr<llama_context, decltype(&llama_free)>     context_{nullptr, llama_free};
    ggml_threadpool * threadpool_ = nullptr;
    int32_t           n_batch_    = 0;
    llama_batch       batch_      = {};
};

// The CPU back end is a plug-in: its functions are found by name.
template <typename Function> Function cpu_function(const char * name) {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (device == nullptr) throw std::runtime_error("no CPU back end was found");
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name));
}

plain_loop::plain_loop(const char * path, uint32_t n_ctx, uint32_t n_batch, uint32_t n_seq_max, int32_t n_threads) {
    model_.reset(llama_model_load_from_file(path, llama_model_default_params()));
    if (!model_) throw std::runtime_error("the model cannot be loaded");
    n_vocab_ = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
    llama_context_params params = llama_context_default_params();
    params.n_ctx           = n_ctx;
    params.n_batch         = n_batch;
    params.n_ubatch        = n_batch;
    params.n_seq_max       = n_seq_max;
    params.n_outputs_max   = std::max(n_seq_max, 8u);
    params.n_threads       = n_threads;
    params.n_threads_batch = n_threads;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.type_k = params.type_v = GGML_TYPE_F16;
    params.kv_unified      = true;
    params.swa_full        = true;
    params.no_perf         = true;
    context_.reset(llama_init_from_model(model_.get(), params));
    if (!context_) throw std::runtime_error("no context can be made");
    auto pool_params = ggml_threadpool_params_default(n_threads);
    threadpool_ = cpu_function<ggml_threadpool * (*)(ggml_threadpool_params *)>("ggml_threadpool_new")(&pool_params);
    llama_attach_threadpool(context_.get(), threadpool_, nullptr);
    n_batch_ = int32_t(llama_n_batch(context_.get()));
    batch_   = llama_batch_init(n_batch_, 0, 1);
}

plain_loop::~plain_loop() {
    llama_batch_free(batch_);
    context_.reset();
    if (threadpool_ != nullptr) cpu_function<void (*)(ggml_threadpool *)>("ggml_threadpool_free")(threadpool_);
}

std::string plain_loop::describe() const {
    return "{\"nCtx\":" + std::to_string(llama_n_ctx(context_.get())) + ",\"nBatch\":" + std::to_string(n_batch_)
        + ",\"nVocab\":" + std::to_string(n_vocab_) + "}";
}

void plain_loop::check(int32_t n_seq, int32_t n_steps, const std::vector<llama_token> & prompt) const {
    if (n_seq < 1 || uint32_t(n_seq) > llama_n_seq_max(context_.get())) throw std::runtime_error("more sequences than N_SEQ_MAX, or none");
    if (n_steps < 1) throw std::runtime_error("at least one step");
    if (prompt.empty()) throw std::runtime_error("a prompt of at least one token");
}

void plain_loop::add(llama_token token, llama_pos position, llama_seq_id sequence, bool logits) {
    if (batch_.n_tokens == n_batch_) throw std::runtime_error("more rows than a batch holds");
    const int32_t i = batch_.n_tokens++;
    batch_.token[i]     = token;
    batch_.pos[i]       = position;
    batch_.n_seq_id[i]  = 1;
    batch_.seq_id[i][0] = sequence;
    batch_.logits[i]    = logits;
}

void plain_loop::run() {
    const int status = llama_decode(context_.get(), batch_);
    if (status != 0) throw std::runtime_error("llama_decode returned " + std::to_string(status));
}

void plain_loop::feed(const llama_token * tokens, int32_t n, llama_seq_id sequence) {
    for (int32_t done = 0; done < n;) {
        batch_.n_tokens = 0;
        for (; done < n && batch_.n_tokens < n_batch_; ++done) add(tokens[done], done, sequence, false);
        run();
    }
    llama_synchronize(context_.get());
}

std::string plain_loop::decode(int32_t n_seq, int32_t n_steps, const std::vector<llama_token> & prompt) {
    check(n_seq, n_steps, prompt);
    clear();
    const auto last = int32_t(prompt.size()) - 1;
    for (llama_seq_id s = 0; s < n_seq; ++s) feed(prompt.data(), last, s);
    std::vector<llama_token> current(n_seq, prompt.back());
    std::vector<std::vector<llama_token>> tokens(n_seq);
    const auto begun = clock_type::now();
    for (int32_t step = 0; step < n_steps; ++step) {
        batch_.n_tokens = 0;
        for (llama_seq_id s = 0; s < n_seq; ++s) add(current[s], last + step, s, true);
        run();
        for (llama_seq_id s = 0; s < n_seq; ++s) {
            const float * logits = llama_get_logits_ith(context_.get(), s);
            current[s] = llama_token(std::max_element(logits, logits + n_vocab_) - logits);
            tokens[s].push_back(current[s]);
        }
    }
    const double elapsed = seconds_since(begun);
    std::string lists;
    for (const auto & list : tokens) {
        std::string ids;
        for (llama_token token : list) ids += (ids.empty() ? "" : ",") + std::to_string(token);
        lists += (lists.empty() ? "[" : ",[") + ids + "]";
    }
    return "{\"seconds\":" + std::to_string(elapsed) + ",\"tokens\":[" + lists + "]}";
}

std::string plain_loop::rows(int32_t n_rows, int32_t n_steps, const std::vector<llama_token> & prompt) {
    check(n_rows, n_steps, prompt);
    clear();
    const auto last = int32_t(prompt.size()) - 1;
    feed(prompt.data(), last, 0);
    for (llama_seq_id s = 1; s < n_rows; ++s) llama_memory_seq_cp(llama_get_memory(context_.get()), 0, s, 0, last);
    const auto begun = clock_type::now();
    for (int32_t step = 0; step < n_steps; ++step) {
        batch_.n_tokens = 0;
        for (llama_seq_id s = 0; s < n_rows; ++s) add(prompt.back(), last + step, s, true);
        run();
        llama_synchronize(context_.get());
    }
    const double elapsed = seconds_since(begun);
    return "{\"seconds\":" + std::to_string(elapsed) + "}";
}

std::string plain_loop::prefill(int32_t n_tokens) {
    if (n_tokens < 1) throw std::runtime_error("at least one token");
    clear();
    std::vector<llama_token> tokens(n_tokens);
    for (int32_t i = 0; i < n_tokens; ++i) tokens[i] = llama_token((int64_t(i) * 31 + 7) % n_vocab_); // any text will do
    const auto begun = clock_type::now();
    feed(tokens.data(), n_tokens, 0);
    const double elapsed = seconds_since(begun);
    return "{\"seconds\":" + std::to_string(elapsed) + ",\"tokensPerSecond\":" + std::to_string(n_tokens / elapsed) + "}";
}

// A line of /proc/self/status, in bytes.
std::string status_bytes(const std::string & name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.compare(0, name.size(), name) == 0) return std::to_string(std::atoll(line.c_str() + name.size()) * 1024);
    }
    return "null";
}

std::string answer(plain_loop & loop, const std::string & line) {
    std::istringstream words(line);
    std::string command;
    int32_t first = 0, second = 0;
    words >> command >> first;
    if (command == "rss") return "{\"rss\":" + status_bytes("VmRSS:") + ",\"peakRss\":" + status_bytes("VmHWM:") + "}";
    if (command == "prefill") return loop.prefill(first);
    words >> second;
    std::vector<llama_token> prompt;
    for (llama_token token; words >> token;) prompt.push_back(token);
    if (command == "decode") return loop.decode(first, second, prompt);
    if (command == "rows") return loop.rows(first, second, prompt);
    throw std::runtime_error("no such command");
}

} // namespace

int main(int argc, char ** argv) {
    if (argc < 7) {
        std::fprintf(stderr, "usage: plain-loop LIBRARIES_FOLDER MODEL N_CTX N_BATCH N_SEQ_MAX N_THREADS [GPU_BACK_END...]\n");
        return 2;
    }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
    }, nullptr);
    ggml_backend_load_all_from_path(argv[1]);
    for (int i = 7; i < argc; ++i) ggml_backend_load(argv[i]);
    llama_backend_init();
    const auto number = [&](int i) { return uint32_t(std::strtoul(argv[i], nullptr, 10)); };
    try {
        plain_loop loop(argv[2], number(3), number(4), number(5), int32_t(number(6)));
        std::cout << loop.describe() << std::endl;
        for (std::string line; std::getline(std::cin, line);) {
            try {
                std::cout << answer(loop, line) << std::endl;
            } catch (const std::exception & error) {
                std::cout << "{\"error\":\"" << error.what() << "\"}" << std::endl;
            }
        }
    } catch (const std::exception & error) {
        std::fprintf(stderr, "plain-loop: %s\n", error.what());
        return 1;
    }
}
