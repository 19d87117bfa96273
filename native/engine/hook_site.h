#pragma once
#include <string>

struct ggml_tensor;

// Points of the computation graph where activations can be read and changed.
enum class hook_site {
    head_out, // input of W_O: all heads' outputs side by side, [n_head * d_head] per token
};

// Throws E_NO_SITE for a name that is not supported.
hook_site   hook_site_from_name(const std::string & name);
const char * hook_site_name(hook_site site);

// Layer index (0-based) when `tensor` is the site's node, else -1.
// The name must match exactly: ggml also has nodes such as "kqv_out-2 (reshaped)".
int hook_site_match(hook_site site, const ggml_tensor * tensor);
