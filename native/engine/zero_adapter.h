#pragma once
#include "llama.h"

#include <cstdint>
#include <string>
#include <vector>

// A weight that the adapter stands behind.
struct adapted_weight {
    std::string name;
    int64_t     n_in;
    int64_t     n_out;
};

// Loads a LoRA adapter of rank 1, all zeros, behind the weights. It belongs to the model and is freed with it.
// Throws E_LLAMA with llama.cpp's reason.
llama_adapter_lora * load_zero_adapter(llama_model * model, const std::string & architecture, const std::vector<adapted_weight> & weights);
