#include "engine/graph_sites.h"

#include "engine/failure.h"
#include "engine/llama_pointers.h"
#include "engine/node_names.h"
#include "engine/node_signature.h"
#include "ggml.h"
#include "llama.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

// Declared in llama.cpp's src/llama-ext.h, which is not installed.
LLAMA_API struct ggml_cgraph * llama_graph_reserve(struct llama_context * ctx, uint32_t n_tokens, uint32_t n_seqs, uint32_t n_outputs);

namespace {

// Fewer outputs than any graph has tokens: a node's rows tell which of the two it holds.
constexpr uint32_t N_OUTPUTS    = 2;
constexpr uint32_t LEAST_TOKENS = 4;

enum part { NONE = 0, MIXER = 1, MLP = 2 };

// Which sublayer a weight belongs to. A norm does not tell: "post_attention_norm" precedes some MLPs.
int part_of_weight(std::string_view name) {
    if (node_names::is_norm_weight(name)) return NONE;
    return node_names::is_mlp_weight(name) ? MLP : MIXER;
}

// What is known of a node.
struct trace {
    bool embedded = false; // computed from the tokens' embeddings
    bool is_state = false; // it is the residual stream after `state`
    int  state    = -1;    // the newest state of the stream that it is computed from; -1: the embeddings
    int  layer    = -1;    // highest layer of the weights used since
    int  parts    = NONE;  // sublayers of those weights
};

// The stream after an addition or a scaling.
struct stream_state {
    const ggml_tensor * node;
    const ggml_tensor * addend; // what was added to the state `parent`; null where that was scaled
    int                 parent;
    trace               added;
};

class graph_reader {
public:
    graph_reader(ggml_cgraph * graph, const llama_model * model, int64_t n_tokens);
    site_map sites(const std::string & architecture);

private:
    const ggml_tensor * operand(const ggml_tensor * node, int i) const;
    void  find_originals();
    trace read(const ggml_tensor * node);
    trace trace_of(const ggml_tensor * tensor);
    bool  keeps_state(const ggml_tensor * node) const;
    bool  extend(const ggml_tensor * node, const ggml_tensor * stream, const ggml_tensor * addend);
    bool  scale(const ggml_tensor * node, const trace & stream);
    void  add_attention();
    void  add_stream();
    void  add_layer(int layer, int first, int last);
    const ggml_tensor * mlp_of(const stream_state & state);
    void  add(hook_site site, int layer, const ggml_tensor * node, int64_t width, bool by_weight = false);

    const int                                       n_layer_;
    const int64_t                                   n_embd_;
    const int64_t                                   n_tokens_;
    std::vector<const ggml_tensor *>                nodes_;
    std::map<const ggml_tensor *, const ggml_tensor *> originals_; // by copy of the scheduler
    std::map<const ggml_tensor *, trace>            traces_;
    std::map<const ggml_tensor *, int>              uses_;
    std::map<std::string, int>                      signatures_;
    std::vector<stream_state>                       states_;
    bool                                            is_parallel_ = false;
    std::map<site_place, site_node>                 found_;
};

graph_reader::graph_reader(ggml_cgraph * graph, const llama_model * model, int64_t n_tokens)
    : n_layer_(llama_model_n_layer(model)), n_embd_(llama_model_n_embd(model)), n_tokens_(n_tokens) {
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) nodes_.push_back(ggml_graph_node(graph, i));
    find_originals();
    for (const ggml_tensor * node : nodes_) {
        for (int i = 0; i < GGML_MAX_SRC; ++i) ++uses_[operand(node, i)];
        ++signatures_[node_signature(node)];
        trace_of(node);
    }
}

// What a node is computed from: the original where the node has the scheduler's copy for another back end.
const ggml_tensor * graph_reader::operand(const ggml_tensor * node, int i) const {
    const ggml_tensor * source = node->src[i];
    const auto found = originals_.find(source);
    return found == originals_.end() ? source : found->second;
}

// Many names are those of a node in every layer: a copy's original is the nearest. It may come later, because a back end moves views.
void graph_reader::find_originals() {
    std::map<std::string, std::vector<int>> by_name;
    for (int i = 0; i < int(nodes_.size()); ++i) by_name[nodes_[i]->name].push_back(i);
    for (int user = 0; user < int(nodes_.size()); ++user) {
        for (const ggml_tensor * copy : nodes_[user]->src) {
            if (copy == nullptr || !is_copy(copy) || originals_.count(copy) != 0) continue;
            int nearest = -1;
            for (int i : by_name[std::string(node_names::without_copy(copy->name))]) {
                const bool is_nearer = nearest < 0 || std::abs(i - user) < std::abs(nearest - user);
                if (i != user && is_nearer && ggml_are_same_shape(nodes_[i], copy)) nearest = i;
            }
            if (nearest >= 0) originals_[copy] = nodes_[nearest];
        }
    }
}

trace graph_reader::trace_of(const ggml_tensor * tensor) {
    const auto known = traces_.find(tensor);
    if (known != traces_.end()) return known->second;
    if (tensor->op != GGML_OP_NONE) {
        traces_[tensor] = trace(); // ends a circle, should a copy's original be mistaken
        const trace result = read(tensor);
        return traces_[tensor] = result;
    }
    trace leaf;
    const std::string_view name = given_name(tensor);
    if (const auto weight = node_names::parse_block_weight(name)) {
        leaf.layer = weight->layer;
        leaf.parts = part_of_weight(name);
    }
    return traces_[tensor] = leaf;
}

// The same values, or some of their rows.
bool graph_reader::keeps_state(const ggml_tensor * node) const {
    if (node->ne[0] != n_embd_) return false;
    if (is_steering_addition(node)) return true;
    const auto keeping = {GGML_OP_RESHAPE, GGML_OP_VIEW, GGML_OP_CONT, GGML_OP_CPY, GGML_OP_GET_ROWS};
    return std::find(keeping.begin(), keeping.end(), node->op) != keeping.end();
}

trace graph_reader::read(const ggml_tensor * node) {
    trace result;
    for (int i = 0; i < GGML_MAX_SRC; ++i) {
        const ggml_tensor * source = operand(node, i);
        if (source == nullptr) continue;
        const trace from = trace_of(source);
        result.embedded |= from.embedded;
        result.state = std::max(result.state, from.state);
    }
    for (int i = 0; i < GGML_MAX_SRC; ++i) {
        const ggml_tensor * source = operand(node, i);
        if (source == nullptr) continue;
        const trace from = trace_of(source);
        if (from.is_state || (source->op != GGML_OP_NONE && from.state < result.state)) continue;
        result.layer = std::max(result.layer, from.layer);
        result.parts |= from.parts;
    }
    if (node->op == GGML_OP_GET_ROWS && given_name(node->src[1]) == node_names::INPUT_TOKENS) return {true, true, -1, -1, NONE};
    const bool is_added = node->op == GGML_OP_ADD
        && (extend(node, operand(node, 0), operand(node, 1)) || extend(node, operand(node, 1), operand(node, 0)));
    const trace first = node->src[0] != nullptr ? trace_of(operand(node, 0)) : trace();
    if (is_added || (first.is_state && first.state >= 0 && scale(node, first))) return {true, true, int(states_.size()) - 1, -1, NONE};
    if (first.is_state && first.state >= 0 && keeps_state(node)) {
        // llama.cpp may have given the name of the block's output to a control vector's addition.
        if (is_steering_addition(node)) states_[first.state].node = node;
        return first;
    }
    // Before the first addition, the stream is whatever is computed from the embeddings without a layer's weights.
    result.is_state = result.embedded && result.state < 0 && result.layer < 0;
    return result;
}

// Takes an addition to the stream as its next state.
bool graph_reader::extend(const ggml_tensor * node, const ggml_tensor * stream, const ggml_tensor * addend) {
    const trace base = trace_of(stream), added = trace_of(addend);
    if (node->ne[0] != n_embd_ || !ggml_are_same_shape(stream, addend) || !base.is_state || !base.embedded) return false;
    if (added.is_state || !added.embedded || added.layer < 0) return false;
    states_.push_back({node, addend, base.state, added});
    return true;
}

// Takes the stream times a scalar weight as its next state.
bool graph_reader::scale(const ggml_tensor * node, const trace & stream) {
    if (node->op != GGML_OP_MUL || node->src[1]->op != GGML_OP_NONE || ggml_nelements(node->src[1]) != 1) return false;
    trace weight = trace_of(node->src[1]);
    weight.parts = NONE;
    if (weight.layer >= 0) states_.push_back({node, nullptr, stream.state, weight});
    return weight.layer >= 0;
}

void graph_reader::add(hook_site site, int layer, const ggml_tensor * node, int64_t width, bool by_weight) {
    const std::string signature = node_signature(node);
    const int64_t rows = ggml_nrows(node);
    const bool is_usable = layer < n_layer_ && node->op != GGML_OP_NONE && node->type == GGML_TYPE_F32 && node->ne[0] == width
        && ggml_is_contiguous(node) && (rows == n_tokens_ || rows == N_OUTPUTS);
    if (!is_usable || (!by_weight && signatures_[signature] != 1)) return;
    found_[{site, layer}] = {width, rows == N_OUTPUTS, by_weight ? "" : signature};
}

void graph_reader::add_attention() {
    std::map<int, std::vector<const ggml_tensor *>> products;
    for (const ggml_tensor * node : nodes_) {
        const int layer = layer_of_attention_output(node);
        if (layer >= 0) products[layer].push_back(node);
    }
    for (const auto & [layer, nodes] : products) {
        if (nodes.size() != 1) continue;
        const ggml_tensor * input = operand(nodes.front(), 1);
        add(hook_site::attn_out, layer, nodes.front(), n_embd_, true);
        // Anything else that reads the heads' outputs would be steered as well.
        const bool is_own = uses_[input] == 1 && found_.count({hook_site::attn_out, layer}) != 0;
        if (is_own) add(hook_site::head_out, layer, input, nodes.front()->src[0]->ne[0]);
    }
}

void graph_reader::add_stream() {
    for (int first = 0; first < int(states_.size());) {
        const int layer = states_[first].added.layer;
        int last = first;
        while (last + 1 < int(states_.size()) && states_[last + 1].added.layer == layer) ++last;
        add_layer(layer, first, last);
        first = last + 1;
    }
}

// The states `first` to `last` are those of one layer.
void graph_reader::add_layer(int layer, int first, int last) {
    for (int i = first; i <= last; ++i) {
        if (states_[i].parent != i - 1) return; // not a chain of additions
    }
    add(hook_site::resid_post, layer, states_[last].node, n_embd_);
    const ggml_tensor * only = nullptr;
    int n_mlps = 0;
    for (int i = first; i <= last; ++i) {
        const ggml_tensor * mlp = mlp_of(states_[i]);
        if (mlp == nullptr) continue;
        ++n_mlps;
        only = mlp;
        const bool follows_mixer = i > first && states_[i].added.state == i - 1 && states_[i - 1].added.parts == MIXER;
        if (follows_mixer) add(hook_site::resid_mid, layer, states_[i - 1].node, n_embd_);
        is_parallel_ |= !follows_mixer && (last > first || states_[i].addend != mlp);
    }
    if (n_mlps == 1) add(hook_site::mlp_out, layer, only, n_embd_);
}

// The MLP's part of what was added: all of it, or one operand of its sum with the attention's part.
const ggml_tensor * graph_reader::mlp_of(const stream_state & state) {
    if (state.added.parts == MLP || state.addend == nullptr) return state.addend;
    if (state.addend->op != GGML_OP_ADD) return nullptr;
    for (int i = 0; i < 2; ++i) {
        const ggml_tensor * summand = operand(state.addend, i);
        if (trace_of(summand).parts == MLP && trace_of(summand).embedded) return summand;
    }
    return nullptr;
}

site_map graph_reader::sites(const std::string & architecture) {
    add_attention();
    add_stream();
    std::map<hook_site, std::string> why;
    const auto differs = [&](const auto & entry) {
        return entry.first.first == hook_site::head_out && entry.second.width != found_.lower_bound({hook_site::head_out, 0})->second.width;
    };
    const bool has_widths = std::any_of(found_.begin(), found_.end(), differs);
    why[hook_site::head_out] = why[hook_site::attn_out] = "none of its layers has an attention with a W_O of its own";
    if (has_widths) {
        found_.erase(found_.lower_bound({hook_site::head_out, 0}), found_.lower_bound({hook_site::attn_out, 0}));
        why[hook_site::head_out] = "its heads differ in width from layer to layer";
    }
    if (is_parallel_) why[hook_site::resid_mid] = "attention and MLP read the same stream, side by side";
    return site_map(architecture, std::move(found_), std::move(why));
}

} // namespace

site_map find_sites(llama_context * context, const llama_model * model, const std::string & architecture) {
    // The same number of tokens of every sequence, as llama.cpp plans for itself: some kinds of memory accept nothing else.
    const uint32_t n_seqs   = llama_n_seq_max(context);
    const uint32_t n_tokens = n_seqs * std::max(1u, (LEAST_TOKENS + n_seqs - 1) / n_seqs);
    ggml_cgraph * graph = llama_graph_reserve(context, n_tokens, n_seqs, N_OUTPUTS);
    return graph == nullptr ? site_map(architecture, {}, {}) : graph_reader(graph, model, n_tokens).sites(architecture);
}

site_map find_sites(llama_model * model, const std::string & architecture) {
    log_sink log;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = 2 * LEAST_TOKENS;
    params.n_seq_max     = 1;
    params.n_outputs_max = N_OUTPUTS;
    params.kv_unified    = true;
    params.op_offload    = false;
    params.no_perf       = true;
    const context_pointer context(llama_init_from_model(model, params));
    const std::string     why = log.explain("");
    if (context == nullptr && why.find("RPC") != std::string::npos) throw failure("E_NATIVE", "llama.cpp cannot use the model" + why);
    const bool is_usable = context != nullptr && llama_get_memory(context.get()) != nullptr;
    return is_usable ? find_sites(context.get(), model, architecture) : site_map(architecture, {}, {});
}
