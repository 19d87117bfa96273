#pragma once
#include "engine/log_sink.h"
#include "engine/rpc.h"
#include "llama.h"

#include <memory>

// Owners of llama.cpp's objects. They may be freed at any time on any thread, and what llama.cpp logs about that is ours; that an RPC server is
// gone does not matter any more.
struct free_quietly {
    void operator()(llama_context * context) const {
        const log_sink  log;
        const rpc_quiet quiet;
        llama_free(context);
    }
    void operator()(llama_model * model) const {
        const log_sink  log;
        const rpc_quiet quiet;
        llama_model_free(model);
    }
};

using context_pointer = std::unique_ptr<llama_context, free_quietly>;
using model_pointer   = std::unique_ptr<llama_model, free_quietly>;
