#pragma once
#include "engine/llama_pointers.h"
#include "engine/llama_weights.h"

#include <memory>
#include <string>
#include <vector>

// Computes one vector for each text: llama.cpp pools the states of the text's tokens. Texts share batches; each is a sequence of its own.
class pooled_texts {
public:
    // pooling: LLAMA_POOLING_TYPE_UNSPECIFIED = what the file declares. `what` names the model in messages, e.g. "classifier".
    // Throws E_BAD_ARGUMENT, E_LLAMA.
    pooled_texts(std::shared_ptr<llama_weights> weights, int32_t n_threads, enum llama_pooling_type pooling, std::string what);
    ~pooled_texts() { llama_batch_free(batch_); }
    pooled_texts(const pooled_texts &) = delete;
    pooled_texts & operator=(const pooled_texts &) = delete;

    enum llama_pooling_type pooling() const { return ::llama_pooling_type(context_.get()); }
    // True for a model that reads a text from its beginning to its end, and keeps what it read.
    bool has_memory() const { return llama_get_memory(context_.get()) != nullptr; }

    // Number of threads from the next call on. Throws E_BAD_ARGUMENT.
    void set_threads(int32_t n_threads);

    // Vectors [texts, width]; width: that of what the pooling gives. Throws E_BAD_ARGUMENT (an empty text), E_CONTEXT_FULL (a text is too
    // long), E_LLAMA.
    std::vector<float> compute(const std::vector<std::string> & texts, int32_t width);

private:
    // Fills the batch with texts from `begin` on; returns the end of those that fitted.
    size_t fill(const std::vector<std::vector<llama_token>> & texts, size_t begin);

    std::shared_ptr<llama_weights> weights_;
    std::string                    what_;
    context_pointer                context_;
    llama_batch                    batch_ = {};
};
