#pragma once
#include "engine/decode_batch.h"
#include "engine/steering_terms.h"
#include "llama.h"

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

struct ggml_tensor;
struct ggml_backend_buffer_type;

// Adds vectors without a synchronise or copy within the graph.
//
// A control vector of zeros makes llama.cpp append an ADD after every block but the first (its output), and a LoRA adapter of zeros makes
// it append one after every W_O. Both are set once. When the scheduler asks about such a node, before it computes anything, the node's
// second operand is replaced by a tensor of ours that holds one row per row of the batch, and the adapter's own products are dropped from
// the graph. On the CPU, the node of a row with another operator than an addition (steering_terms.h) calls a function of ours, which
// adds the operand, too. A node with nothing to add is skipped where it works in place, and adds zeros elsewhere: either way an
// activation keeps all its bits.
//
// Memory that a decode has read is never freed while the context lives. Nodes of a graph that is reused point to it, and so do a device's
// descriptors, which some drivers read although no shader does (docs/architecture.md, "Back ends with memory of their own").
class graph_path {
public:
    enum class slot { attention, block }; // after W_O; after a block

    explicit graph_path(const llama_model * model);
    ~graph_path();

    // True where `site` can be steered in `layer`; head_out goes through W_O's product.
    static bool has_slot(hook_site site, int layer) {
        return site == hook_site::head_out || site == hook_site::attn_out || (site == hook_site::resid_post && layer > 0);
    }
    static slot slot_of(hook_site site) { return site == hook_site::resid_post ? slot::block : slot::attention; }

    // Puts the nodes of `kind` into the graphs of all later decodes of the context. Throws E_LLAMA.
    void enable(slot kind, llama_context * context, llama_adapter_lora * zero_adapter);
    bool is_enabled(slot kind) const { return enabled_.count(kind) != 0; }
    // Gives up llama.cpp's control vector, so that the caller can set another before the first decode.
    void release_block() { enabled_.erase(slot::block); }

    // Sets what the next decode adds: the terms at `places`. `keeps_nodes`: skip no node, because the callback path looks for
    // nodes by what they are.
    void start(const steering_terms * terms, std::map<hook_site, std::set<int>> places, const batch_rows * rows, bool keeps_nodes);
    // Call this for every node that the scheduler asks about.
    void visit(ggml_tensor * tensor);
    // After a graph was computed: throws what its functions could not.
    void finish_pass();
    // True when the graph showed the slot during this decode.
    bool has_seen(hook_site site, int layer) const { return seen_.count({slot_of(site), layer}) != 0; }

private:
    struct operands; // tensors of ours in one kind of memory
    // What the function of a node does to some of its rows.
    struct operation {
        graph_path *                                 path;
        hook_site                                    site;
        int                                          layer;
        std::vector<std::pair<int64_t, int32_t>> rows; // the node's row, and that of the batch
    };

    void          patch(slot kind, int layer, ggml_tensor * node);
    bool          compose(slot kind, int layer, const ggml_tensor * node);
    void          call_function(ggml_tensor * node, operation & what);
    static void   operate(ggml_tensor * node, const ggml_tensor * activations, const ggml_tensor * operand, int thread, int n_threads,
                          void * what);
    operands &    memory_of(slot kind, const ggml_tensor * node);

    const llama_model *                           model_;
    std::set<slot>                                enabled_;
    const steering_terms *                        terms_ = nullptr;
    const batch_rows *                            rows_ = nullptr;
    bool                                          keeps_nodes_ = false;
    std::map<hook_site, std::set<int>>            places_;
    std::set<std::pair<slot, int>>                seen_;
    std::vector<int32_t>                          steered_rows_;
    std::vector<double>                           sum_;
    std::vector<float>                            composed_; // rows of one node [n_rows, n_embd]
    // The last of each kind is in use; the ones before it were too small.
    std::map<std::pair<slot, ggml_backend_buffer_type *>, std::vector<std::unique_ptr<operands>>> memories_;
    std::set<const ggml_tensor *>                 own_; // all tensors of memories_
    std::map<std::pair<slot, int>, operation>     operations_; // by node, for this decode
    std::exception_ptr                            error_;
};
