#include "engine/hook_site.h"

#include "failure.h"
#include "ggml.h"

#include <cstring>

namespace {

const char * node_prefix(hook_site site) {
    switch (site) {
        case hook_site::head_out: return "kqv_out-";
    }
    return "";
}

// Decimal number that fills the whole of `text`, else -1.
int parse_layer(const char * text) {
    if (*text == '\0') return -1;
    int layer = 0;
    for (; *text != '\0'; ++text) {
        if (*text < '0' || *text > '9') return -1;
        layer = layer * 10 + (*text - '0');
    }
    return layer;
}

} // namespace

hook_site hook_site_from_name(const std::string & name) {
    if (name == "head_out") return hook_site::head_out;
    throw failure("E_NO_SITE", "hook site \"" + name + "\" is not supported; supported: head_out");
}

const char * hook_site_name(hook_site site) {
    switch (site) {
        case hook_site::head_out: return "head_out";
    }
    return "";
}

int hook_site_match(hook_site site, const ggml_tensor * tensor) {
    const char * prefix = node_prefix(site);
    const size_t length = std::strlen(prefix);
    if (std::strncmp(tensor->name, prefix, length) != 0) return -1;
    return parse_layer(tensor->name + length);
}
