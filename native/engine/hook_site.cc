#include "engine/hook_site.h"

#include "failure.h"
#include "ggml.h"

#include <cstring>

namespace {

constexpr const char * W_O = "attn_output.weight";

// Decimal number that fills [text, end), else -1.
int parse_layer(const char * text, const char * end) {
    if (text == end) return -1;
    int layer = 0;
    for (; text != end; ++text) {
        if (*text < '0' || *text > '9') return -1;
        layer = layer * 10 + (*text - '0');
    }
    return layer;
}

// Layer of a node named <prefix><layer>. Exactly: ggml also has nodes such as "kqv_out-2 (reshaped)".
int layer_of_name(const char * name, const char * prefix) {
    const size_t length = std::strlen(prefix);
    if (std::strncmp(name, prefix, length) != 0) return -1;
    return parse_layer(name + length, name + std::strlen(name));
}

// An addition that is not the residual one: of a bias (a leaf), of a LoRA adapter (ggml_scale), of the graph path (a leaf).
bool adds_to_product(const ggml_tensor * tensor) {
    return tensor->op == GGML_OP_ADD && (tensor->src[1]->op == GGML_OP_NONE || tensor->src[1]->op == GGML_OP_SCALE);
}

// The sum of W_O's product and the block's input, where it has no name.
int layer_of_first_sum(const ggml_tensor * tensor) {
    if (tensor->op != GGML_OP_ADD || adds_to_product(tensor)) return -1;
    const ggml_tensor * addend = tensor->src[0];
    if (addend->op == GGML_OP_GET_ROWS) addend = addend->src[0];
    while (adds_to_product(addend)) addend = addend->src[0];
    return layer_of_attention_output(addend);
}

// llama.cpp calls the residual sum "ffn_out" too while a control vector follows it.
int layer_of_mlp(const ggml_tensor * tensor, const char * prefix) {
    const int layer = layer_of_name(tensor->name, prefix);
    const bool is_sum = layer >= 0 && tensor->op == GGML_OP_ADD && layer_of_name(tensor->src[1]->name, "ffn_inp-") == layer;
    return is_sum ? -1 : layer;
}

int layer_of_norm(const ggml_tensor * tensor, const char * weight) {
    return tensor->op == GGML_OP_MUL ? layer_of_weight(tensor->src[1]->name, weight) : -1;
}

} // namespace

// Names that an architecture's graph gives to its nodes; what has none is found by its weight or by its operands.
struct architecture_sites {
    const char * architecture;
    const char * mlp_norm;  // weight of the norm that the MLP's output passes; null: the output is the node "ffn_out-<layer>"
    const char * resid_mid; // prefix of the node's name; null: it has none
};

namespace {

constexpr architecture_sites KNOWN[] = {
    {"llama",    nullptr,                "ffn_inp-"}, // Llama, Mistral, SmolLM2, Mixtral
    {"qwen2",    nullptr,                "ffn_inp-"},
    {"qwen3",    nullptr,                "ffn_inp-"},
    {"qwen3moe", nullptr,                "ffn_inp-"},
    {"gemma2",   "post_ffw_norm.weight", "sa_out-"},
    {"gemma3",   "post_ffw_norm.weight", "sa_out-"},
    {"phi3",     nullptr,                nullptr},
};

const architecture_sites * find_sites(const std::string & architecture) {
    for (const auto & known : KNOWN) {
        if (architecture == known.architecture) return &known;
    }
    return nullptr;
}

} // namespace

hook_site hook_site_from_name(const std::string & name) {
    std::string names;
    for (hook_site site : HOOK_SITES) {
        if (name == hook_site_name(site)) return site;
        names += std::string(names.empty() ? "" : ", ") + hook_site_name(site);
    }
    throw failure("E_NO_SITE", "\"" + name + "\" is no hook site; expected one of: " + names);
}

const char * hook_site_name(hook_site site) {
    switch (site) {
        case hook_site::head_out:   return "head_out";
        case hook_site::attn_out:   return "attn_out";
        case hook_site::mlp_out:    return "mlp_out";
        case hook_site::resid_mid:  return "resid_mid";
        case hook_site::resid_post: return "resid_post";
    }
    return "";
}

int layer_of_weight(const char * name, const char * weight) {
    if (std::strncmp(name, "blk.", 4) != 0) return -1;
    const char * dot = std::strchr(name + 4, '.');
    return dot == nullptr || std::strcmp(dot + 1, weight) != 0 ? -1 : parse_layer(name + 4, dot);
}

int layer_of_attention_output(const ggml_tensor * tensor) {
    return tensor->op == GGML_OP_MUL_MAT ? layer_of_weight(tensor->src[0]->name, W_O) : -1;
}

site_map::site_map(const std::string & architecture, bool is_moe)
    : architecture_(architecture), sites_(find_sites(architecture)), is_moe_(is_moe) {}

bool site_map::has(hook_site site) const {
    return sites_ != nullptr || site == hook_site::head_out || site == hook_site::attn_out;
}

void site_map::check(hook_site site) const {
    if (!has(site)) throw failure("E_NO_SITE", "the graph of architecture " + architecture_ + " is not known to have " + hook_site_name(site) + "; it has head_out and attn_out");
}

int site_map::match(hook_site site, const ggml_tensor * tensor) const {
    switch (site) {
        case hook_site::head_out:   return layer_of_name(tensor->name, "kqv_out-");
        case hook_site::attn_out:   return layer_of_attention_output(tensor);
        case hook_site::mlp_out:
            if (sites_->mlp_norm != nullptr) return layer_of_norm(tensor, sites_->mlp_norm);
            return layer_of_mlp(tensor, is_moe_ ? "ffn_moe_out-" : "ffn_out-");
        case hook_site::resid_mid:
            return sites_->resid_mid != nullptr ? layer_of_name(tensor->name, sites_->resid_mid) : layer_of_first_sum(tensor);
        case hook_site::resid_post: return layer_of_name(tensor->name, "l_out-");
    }
    return -1;
}
