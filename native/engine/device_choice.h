#pragma once
#include "engine/llama_weights.h"
#include "ggml-backend.h"

#include <vector>

// This machine's GPUs, each once; integrated ones only if there are no others.
std::vector<ggml_backend_dev_t> own_gpus();

// The devices of the options' RPC servers, then this machine's, as llama.cpp orders them; empty: as llama.cpp chooses.
// Throws E_NATIVE if a back end has no device here, a server does not answer, or there are too many.
std::vector<ggml_backend_dev_t> devices_for(const weights_options & options);

// True if layers may be on a device with memory of its own.
bool may_use_device(const weights_options & options);
