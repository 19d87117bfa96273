#pragma once
#include "engine/counted.h"
#include "engine/pooled_texts.h"

#include <memory>
#include <string>
#include <vector>

// Runs an embedding model: one vector per text, pooled as its file declares. Encoders (BERT, nomic-bert) and causal models that were
// trained for it (Qwen3-Embedding) alike. One call at a time.
class text_embedder : counted<text_embedder> {
public:
    using counted<text_embedder>::alive;

    // Throws E_BAD_GGUF (not an embedding model), E_BAD_ARGUMENT, E_LLAMA.
    text_embedder(std::shared_ptr<llama_weights> weights, int32_t n_threads);

    int32_t width() const { return width_; }
    // "mean", "cls" or "last".
    const char * pooling() const;

    // Number of threads from the next call on. Throws E_BAD_ARGUMENT.
    void set_threads(int32_t n_threads) { texts_.set_threads(n_threads); }

    // Vectors [texts, width], not normalised. Throws E_BAD_ARGUMENT (an empty text), E_CONTEXT_FULL (a text is too long), E_LLAMA.
    std::vector<float> embed(const std::vector<std::string> & texts) { return texts_.compute(texts, width_); }

private:
    int32_t      width_;
    pooled_texts texts_;
};
