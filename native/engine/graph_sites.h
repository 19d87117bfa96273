#pragma once
#include "engine/hook_site.h"

#include <string>

struct ggml_cgraph;
struct llama_context;
struct llama_model;

// Finds the sites in a context's graph by its structure: the residual stream is the chain of additions from the embeddings to the last
// layer, and each addition's other operand is what a sublayer adds. A site is omitted unless the graph shows it exactly once, with a row
// per token or per output. Nothing is computed; the context plans its buffers again at its next decode.
site_map find_sites(llama_context * context, const llama_model * model, const std::string & architecture);

// The same for later contexts, found in a small one with default options. Empty where llama.cpp cannot make that.
site_map find_sites(llama_model * model, const std::string & architecture);
