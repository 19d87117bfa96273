#include "engine/hook_site.h"

#include "engine/failure.h"
#include "engine/node_signature.h"
#include "ggml.h"

#include <algorithm>

namespace {

// Architectures whose graphs are known to have both slots of the graph path (graph_path.h).
constexpr const char * GRAPH_PATH[] = {"llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3"};

// "0 to 3, 5, 7 to 9"
std::string ranges(const std::vector<int> & layers) {
    std::string text;
    for (size_t i = 0; i < layers.size();) {
        size_t end = i + 1;
        while (end < layers.size() && layers[end] == layers[end - 1] + 1) ++end;
        text += (text.empty() ? "" : ", ") + std::to_string(layers[i]);
        if (end - i > 1) text += " to " + std::to_string(layers[end - 1]);
        i = end;
    }
    return text;
}

} // namespace

hook_site hook_site_from_name(const std::string & name) {
    std::string names;
    for (const named_site & known : HOOK_SITES) {
        if (name == known.name) return known.site;
        names += std::string(names.empty() ? "" : ", ") + known.name;
    }
    throw failure("E_NO_SITE", "\"" + name + "\" is not a hook site; expected one of: " + names);
}

const char * hook_site_name(hook_site site) {
    const auto found = std::find_if(HOOK_SITES.begin(), HOOK_SITES.end(), [site](const named_site & known) { return known.site == site; });
    return found == HOOK_SITES.end() ? "" : found->name;
}

site_map::site_map(std::string architecture, std::map<site_place, site_node> nodes, std::map<hook_site, std::string> why)
    : architecture_(std::move(architecture)), nodes_(std::move(nodes)), why_(std::move(why)) {
    for (const auto & [place, node] : nodes_) {
        if (node.signature.empty()) continue;
        by_signature_.emplace(node.signature, place);
        const std::string name = node.signature.substr(0, node.signature.find('='));
        if (!name.empty()) {
            names_.insert(name);
            continue;
        }
        for (int op = 0; op < GGML_OP_COUNT; ++op) {
            if (node.signature.compare(1, node.signature.find('(') - 1, ggml_op_name(ggml_op(op))) == 0) unnamed_ops_.insert(op);
        }
    }
}

const site_node * site_map::find(hook_site site, int layer) const {
    const auto found = nodes_.find({site, layer});
    return found == nodes_.end() ? nullptr : &found->second;
}

std::vector<int> site_map::layers(hook_site site) const {
    std::vector<int> layers;
    for (const auto & [place, node] : nodes_) {
        if (place.first == site) layers.push_back(place.second);
    }
    return layers;
}

int32_t site_map::width(hook_site site) const {
    const auto layers = this->layers(site);
    if (!layers.empty()) return int32_t(find(site, layers.front())->width);
    std::string others;
    for (const named_site & other : HOOK_SITES) {
        if (!this->layers(other.site).empty()) others += std::string(others.empty() ? "" : ", ") + other.name;
    }
    const auto why = why_.find(site);
    throw failure("E_NO_SITE", "architecture " + architecture_ + " has no " + hook_site_name(site)
        + (why == why_.end() ? "" : ": " + why->second) + "; it has " + (others.empty() ? "none of the sites" : others));
}

void site_map::check(hook_site site, const std::vector<int> & layers) const {
    for (int layer : layers) {
        if (find(site, layer) != nullptr) continue;
        throw failure("E_NO_SITE", "layer " + std::to_string(layer) + " of this " + architecture_ + " has no " + hook_site_name(site)
            + "; the layers that have it: " + ranges(this->layers(site)));
    }
}

bool site_map::knows_graph() const {
    return std::any_of(std::begin(GRAPH_PATH), std::end(GRAPH_PATH), [this](const char * name) { return architecture_ == name; });
}

const site_place * site_map::match(const ggml_tensor * tensor) const {
    const int attention = layer_of_attention_output(tensor);
    if (attention >= 0) {
        const auto found = nodes_.find({hook_site::attn_out, attention});
        if (found != nodes_.end()) return &found->first;
    }
    const std::string_view name = given_name(tensor);
    if (name.empty() ? unnamed_ops_.count(tensor->op) == 0 : names_.count(name) == 0) return nullptr;
    const auto found = by_signature_.find(node_signature(tensor));
    return found == by_signature_.end() ? nullptr : &found->second;
}
