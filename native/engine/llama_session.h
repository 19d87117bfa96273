#pragma once
#include "engine/distribution.h"
#include "engine/eval_hook.h"
#include "engine/hook_site.h"
#include "engine/llama_weights.h"
#include "llama.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

struct session_options {
    uint32_t n_ctx         = 0; // KV cells shared by all sequences
    uint32_t n_batch       = 0; // most rows of one decode
    uint32_t n_seq_max     = 0;
    uint32_t n_outputs_max = 0; // most rows with logits of one decode
    int32_t  n_threads     = 0;
    bool     flash_attn    = true;
    bool     kv_f32        = false; // K and V in F32 instead of F16: for comparisons, twice the memory
};

// Rows of one decode. All vectors have the same length.
struct decode_batch {
    std::vector<llama_token> tokens;
    std::vector<llama_pos>   positions;
    std::vector<int32_t>     seq_ids;
    std::vector<int8_t>      outputs; // 1 = compute logits
};

// A context with its KV cache, its hook and its thread pool. Not thread-safe: one job at a time.
class llama_session {
public:
    llama_session(std::shared_ptr<llama_weights> weights, const session_options & options);
    ~llama_session();
    llama_session(const llama_session &) = delete;
    llama_session & operator=(const llama_session &) = delete;

    // Every argument is checked before llama.cpp sees it.
    // Throws E_SHAPE, E_BAD_TOKEN, E_CONTEXT_FULL, E_NO_KV_SLOT, E_ABORTED, E_NO_SITE, E_LLAMA.
    void decode(const decode_batch & batch, steering_plan plan, std::vector<activation_capture::row_request> captured);

    // Logits [n_vocab] of a row of the last decode that had outputs = 1. Throws E_SHAPE.
    const float * logits(int32_t row) const;

    void kv_copy(int32_t from, int32_t to, llama_pos begin, llama_pos end);
    void kv_remove(int32_t seq_id, llama_pos begin, llama_pos end);
    void kv_clear();

    // Throw E_NO_SITE where the architecture lacks the site.
    int32_t                                add_vector(hook_site site, std::shared_ptr<const steering_vector> vector);
    void                                   remove_vector(int32_t id);
    std::shared_ptr<const steering_vector> vector(int32_t id) const;

    void                                begin_capture(hook_site site, int n_steps);
    activation_capture &                capture();
    std::unique_ptr<activation_capture> take_capture();

    // The abort flag belongs to the thread that starts jobs: it clears the flag before it queues one.
    void clear_abort() { abort_.store(false); }
    void request_abort() { abort_.store(true); }

    const llama_weights & weights() const { return *weights_; }

private:
    void check(const decode_batch & batch) const;
    void check_sequence(int32_t seq_id) const;
    void check_site(hook_site site) const;
    void attach_threadpool();

    std::shared_ptr<llama_weights>                                   weights_;
    session_options                                                  options_;
    eval_hook                                                        hook_;
    std::atomic<bool>                                                abort_{false};
    std::unique_ptr<llama_context, decltype(&llama_free)>            context_;
    ggml_threadpool *                                                threadpool_ = nullptr;
    std::vector<int8_t>                                              last_outputs_;
    std::map<int32_t, std::shared_ptr<const steering_vector>>        vectors_;
    int32_t                                                          next_vector_ = 0;
    std::unique_ptr<activation_capture>                              capture_;
};
