#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

struct ggml_tensor;

// Points of a block where activations can be read and changed.
enum class hook_site {
    head_out,   // input of W_O: all heads' outputs side by side, [n_head * d_head] per token
    attn_out,   // W_O's product, before any bias or norm after it, [n_embd]
    mlp_out,    // what the MLP adds to the residual stream, [n_embd]
    resid_mid,  // residual stream between attention and MLP, [n_embd]
    resid_post, // residual stream after the block, [n_embd]
};
struct named_site {
    hook_site    site;
    const char * name;
};
// Their names, which are those of lib/vector/hook-site.ts.
constexpr std::array<named_site, 5> HOOK_SITES{{
    {hook_site::head_out, "head_out"},
    {hook_site::attn_out, "attn_out"},
    {hook_site::mlp_out, "mlp_out"},
    {hook_site::resid_mid, "resid_mid"},
    {hook_site::resid_post, "resid_post"},
}};

// Throws E_NO_SITE for a name that is not a site.
hook_site    hook_site_from_name(const std::string & name);
const char * hook_site_name(hook_site site);

// A site of one layer.
using site_place = std::pair<hook_site, int>;

// The node of a graph where a site is.
struct site_node {
    int64_t     width;
    bool        is_cut;    // it only has rows for the outputs of the batch
    std::string signature; // see node_signature.h; empty for attn_out, which is found by its weight
};

// Where the sites are in the graphs of one context, or which sites a model has.
class site_map {
public:
    site_map() = default;
    // why: the reason for each site that no layer has.
    site_map(std::string architecture, std::map<site_place, site_node> nodes, std::map<hook_site, std::string> why);

    // Null where the layer lacks the site.
    const site_node * find(hook_site site, int layer) const;
    // Layers that have the site, ascending.
    std::vector<int> layers(hook_site site) const;
    // The width of the site, equal in all layers that have it. Throws E_NO_SITE if no layer has it.
    int32_t width(hook_site site) const;
    // Throws E_NO_SITE, which names the layers that have the site, where one of these does not.
    void check(hook_site site, const std::vector<int> & layers) const;
    // True where the graph path can use the architecture's graph (graph_path.h).
    bool knows_graph() const;

    // The place whose node `tensor` is, or null.
    const site_place * match(const ggml_tensor * tensor) const;

private:
    std::string                                 architecture_;
    std::map<site_place, site_node>             nodes_;
    std::map<hook_site, std::string>            why_;
    std::unordered_map<std::string, site_place> by_signature_;
    std::set<std::string, std::less<>>          names_;       // those of named nodes
    std::set<int>                               unnamed_ops_; // operations of those that have none
};
