#pragma once
#include "engine/abortable.h"
#include "engine/counted.h"
#include "engine/decode_batch.h"
#include "engine/eval_hook.h"
#include "engine/llama_pointers.h"
#include "engine/llama_weights.h"
#include "engine/thread_pool.h"
#include "llama.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

struct session_options {
    uint32_t n_ctx         = 0; // KV cells shared by all sequences
    uint32_t n_batch       = 0; // most rows of one decode
    uint32_t n_seq_max     = 0;
    uint32_t n_outputs_max = 0; // most rows with logits of one decode
    int32_t  n_threads     = 0;
    bool     flash_attn    = true;
    float    rope_factor   = 0; // multiple of the context, by YaRN if `rope_yarn`, else linearly; 0 = as the file says
    bool     rope_yarn     = false;
    uint32_t rope_original = 0; // the context that is multiplied; 0 = as the file says
    bool     kv_f32        = false; // K and V in F32 instead of F16, for comparisons; takes twice the memory
    steering_path path     = steering_path::automatic;
};

// A context with its KV cache, its hook and its thread pool. Not thread-safe: one job at a time.
class llama_session : counted<llama_session>, public abortable {
public:
    using counted<llama_session>::alive;

    llama_session(std::shared_ptr<llama_weights> weights, const session_options & options);

    // Every argument is checked before llama.cpp sees it.
    // Throws E_SHAPE, E_BAD_TOKEN, E_CONTEXT_FULL, E_NO_KV_SLOT, E_ABORTED, E_NO_SITE, E_LLAMA.
    void decode(const decode_batch & batch, steering_terms terms, std::vector<capture_request> captures);

    // Logits [n_vocab] of a row of the last decode that had outputs = 1. Throws E_SHAPE.
    const float * logits(int32_t row) const;
    // What the gates of the last decode have read.
    const std::vector<gate_reading> & gates() const { return gates_; }

    // Number of threads from the next decode on. Throws E_BAD_ARGUMENT.
    void set_threads(int32_t n_threads);

    // Sets llama.cpp's own control vector for every row of all decodes, [n_layer - 1, n_embd] from layer 1; empty = none. For comparisons:
    // the graph path cannot be used beside it. Throws E_SHAPE, and E_BAD_ARGUMENT after the first decode.
    void set_control_vector(const std::vector<float> & data);

    void kv_copy(int32_t from, int32_t to, llama_pos begin, llama_pos end);
    void kv_remove(int32_t seq_id, llama_pos begin, llama_pos end);
    void kv_clear();

    const llama_weights & weights() const { return *weights_; }
    // The context's threads, for work on what a decode left.
    thread_pool & threads() { return threads_; }

private:
    void check(const decode_batch & batch) const;
    // What captures and gates read must be there. Throws E_SHAPE.
    void check_reads(const decode_batch & batch, const std::vector<capture_request> & captures, const std::vector<gate_reading> & gates) const;
    void check_sequence(int32_t seq_id) const;
    // Computes some rows of a batch, in this order, in one graph.
    void compute(const decode_batch & batch, const std::vector<int32_t> & rows);
    // After compute() of these rows.
    void find_logits(const decode_batch & batch, const std::vector<int32_t> & rows, bool is_only_graph,
                     std::vector<const float *> & logits_of_row);

    // Distributes the terms over the two paths. Throws E_NO_SITE where the graph path was required and is not available.
    void choose_paths(eval_hook::work & work, int32_t n_rows);
    bool fits_graph_path(hook_site site, int layer);
    bool has_zero_adapter() const;
    void prepare_graph_path();
    void enable_slot(graph_path::slot slot);

    std::shared_ptr<llama_weights>                        weights_;
    session_options                                       options_;
    std::unique_ptr<graph_path>                           graph_; // outlives the context, whose graph points into it
    std::unique_ptr<eval_hook>                            hook_;
    thread_pool                                           threads_;
    context_pointer                                       context_;
    std::vector<const float *>                            logits_of_row_; // those of the last decode; null = none
    std::vector<gate_reading>                             gates_;         // likewise
    std::vector<std::vector<float>>                       kept_logits_;   // if the decode took several graphs
    bool                                                  has_control_vector_ = false;
    bool                                                  has_decoded_ = false;
    std::optional<bool>                                   attention_slot_fits_; // looked up once
};
