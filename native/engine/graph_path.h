#pragma once
#include "engine/steering_plan.h"
#include "llama.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

struct ggml_tensor;
struct ggml_backend_buffer_type;

// How the rows of a batch map to the rows of a node of one graph, which may compute only some of them.
struct batch_rows {
    int32_t              n_batch = 0;
    int32_t              n_rows  = 0;
    std::vector<int32_t> rows;        // of the batch, in the graph's order
    std::vector<int32_t> output_rows; // those with logits

    // Row of the node for each row of the batch, -1 where the node has none; empty when the node has another shape.
    std::vector<int32_t> rows_of_node(int64_t n_node_rows) const;
};

// Adds vectors without a synchronise or copy in the middle of the graph.
//
// A control vector of zeros makes llama.cpp append an ADD after every block but the first ("l_out-<layer>"), a LoRA
// adapter of zeros one after every W_O. Both are set once, and when the scheduler asks about such a node, before it
// computes anything, the node's second operand becomes a tensor of ours that holds one row per row of the batch; the
// adapter's own products are dropped from the graph. A node with nothing to add is left out where it works in place,
// and adds zeros elsewhere: both leave an activation as it is, bit for bit.
//
// Memory that a decode has read is never freed while the context lives: nodes of a graph that is used again point to
// it, and so do descriptors of a device, which some drivers read though no shader does (docs/architecture.md, "Back
// ends with memory of their own").
class graph_path {
public:
    enum class slot { attention, block }; // after W_O; after a block

    explicit graph_path(const llama_model * model);
    ~graph_path();

    // The slot through which `site` can be steered in `layer`, if any. head_out goes through W_O's product.
    static bool has_slot(hook_site site, int layer) { return site == hook_site::head_out || site == hook_site::attn_out || (site == hook_site::resid_post && layer > 0); }
    static slot slot_of(hook_site site) { return site == hook_site::resid_post ? slot::block : slot::attention; }

    // Puts the nodes of `kind` into the graphs of all the context's decodes from now on. Throws E_LLAMA.
    void enable(slot kind, llama_context * context, llama_adapter_lora * zero_adapter);
    bool is_enabled(slot kind) const { return enabled_.count(kind) != 0; }
    // Gives llama.cpp's control vector up, for a caller who sets his own; false when the path has steered with it.
    bool release_block();

    // What the next decode adds: the plan's terms at `places`. `keeps_nodes`: nodes are looked for by what they are, so none
    // may be left out.
    void start(const steering_plan * plan, std::map<hook_site, std::set<int>> places, const batch_rows * rows, bool keeps_nodes);
    // To be called for every node that the scheduler asks about.
    void visit(ggml_tensor * tensor);
    // True when the graph showed the slot during this decode.
    bool has_seen(hook_site site, int layer) const { return seen_.count({slot_of(site), layer}) != 0; }

private:
    struct operands; // tensors of ours in one kind of memory

    void          patch(slot kind, int layer, ggml_tensor * node);
    bool          compose(slot kind, int layer, const ggml_tensor * node);
    operands &    memory_of(slot kind, const ggml_tensor * node);

    const llama_model *                           model_;
    std::set<slot>                                enabled_;
    const steering_plan *                         plan_ = nullptr;
    const batch_rows *                            rows_ = nullptr;
    bool                                          keeps_nodes_ = false;
    bool                                          has_steered_block_ = false; // ever: nodes may still point to the vectors
    std::map<hook_site, std::set<int>>            places_;
    std::set<std::pair<slot, int>>                seen_;
    std::vector<int32_t>                          steered_rows_;
    std::vector<double>                           sum_;
    std::vector<float>                            composed_; // rows of one node [n_rows, n_embd]
    // The last of each kind is in use, the ones before it were too small.
    std::map<std::pair<slot, ggml_backend_buffer_type *>, std::vector<std::unique_ptr<operands>>> memories_;
    std::set<const ggml_tensor *>                 own_; // all tensors of memories_
};
