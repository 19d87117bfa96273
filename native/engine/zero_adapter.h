#pragma once
#include "llama.h"

#include <cstdint>
#include <string>
#include <vector>

// A weight whose product the adapter adds to.
struct adapted_weight {
    std::string name;
    int64_t     n_in;
    int64_t     n_out;
};

// Loads a LoRA adapter of rank 1 for the weights, all zeros. It belongs to the model and is freed with it. Throws E_LLAMA with
// llama.cpp's reason.
llama_adapter_lora * load_zero_adapter(llama_model * model, const std::string & architecture, const std::vector<adapted_weight> & weights);

// Takes the adapter's nodes for a layer's W_O out of a graph that is not yet computed: they would only compute zeros. `scaled` is what
// the graph adds to W_O's product. Throws E_NO_SITE, with the graph unchanged, where it is anything else than scale * (B * (A * input))
// of this adapter.
void drop_zero_adapter(int layer, ggml_tensor * scaled);
