#pragma once
#include <array>
#include <string>

struct ggml_tensor;

// Points of a block where activations can be read and changed.
enum class hook_site {
    head_out,   // input of W_O: all heads' outputs side by side, [n_head * d_head] per token
    attn_out,   // W_O's product, before any bias or norm behind it, [n_embd]
    mlp_out,    // what the MLP adds to the residual stream, [n_embd]
    resid_mid,  // residual stream between attention and MLP, [n_embd]
    resid_post, // residual stream behind the block, [n_embd]
};
constexpr std::array<hook_site, 5> HOOK_SITES{hook_site::head_out, hook_site::attn_out, hook_site::mlp_out, hook_site::resid_mid, hook_site::resid_post};

// Throws E_NO_SITE for a name that is no site.
hook_site    hook_site_from_name(const std::string & name);
const char * hook_site_name(hook_site site);

// In the last layer llama.cpp drops the rows without logits right behind the attention: from there on a site has
// one row per output of the batch.
constexpr bool has_output_rows_only(hook_site site) {
    return site != hook_site::head_out && site != hook_site::attn_out;
}

// Layer of the weight that `name` names, e.g. 7 for ("blk.7.attn_output.weight", "attn_output.weight"); else -1.
int layer_of_weight(const char * name, const char * weight);
// Layer of W_O when `tensor` is its product, else -1.
int layer_of_attention_output(const ggml_tensor * tensor);

struct architecture_sites;

// Where the sites are in the graphs of one model.
class site_map {
public:
    site_map(const std::string & architecture, bool is_moe);

    // Throws E_NO_SITE where the architecture is not known to have the site.
    void check(hook_site site) const;
    bool has(hook_site site) const;
    // True where the architecture's graph has nodes that the graph path can use (graph_path.h).
    bool knows_graph() const { return sites_ != nullptr; }

    // Layer (0-based) when `tensor` is the site's node, else -1.
    int match(hook_site site, const ggml_tensor * tensor) const;

private:
    std::string                architecture_;
    const architecture_sites * sites_; // null: head_out and attn_out only, which are found by W_O
    bool                       is_moe_;
};
