#pragma once
#include "engine/hook_site.h"

#include <string>

struct ggml_cgraph;
struct llama_context;
struct llama_model;

// Finds the sites in a context's graph by its structure: the residual stream is the chain of additions from the
// embeddings to the last layer, and each addition's other operand is what a sublayer adds. A site that the graph does
// not show once, and with a row per token or per output, is left out. Nothing is computed; the context plans its
// buffers anew at its next decode.
site_map find_sites(llama_context * context, const llama_model * model, const std::string & architecture);

// The same for contexts to come, by a small one of default options. Empty where llama.cpp cannot make it.
site_map find_sites(llama_model * model, const std::string & architecture);
