#pragma once
#include "engine/counted.h"
#include "engine/pooled_texts.h"

#include <memory>
#include <string>
#include <vector>

// Runs a model with a classification head (BERT, XLM-R): a score per label for each text. One call at a time.
class text_classifier : counted<text_classifier> {
public:
    using counted<text_classifier>::alive;

    // Throws E_BAD_GGUF where the model has no classification head, E_BAD_ARGUMENT, E_LLAMA.
    text_classifier(std::shared_ptr<llama_weights> weights, int32_t n_threads);

    // Number of threads from the next call on. Throws E_BAD_ARGUMENT.
    void set_threads(int32_t n_threads) { texts_.set_threads(n_threads); }

    // Logits [texts, labels]. Throws E_BAD_ARGUMENT (an empty text), E_CONTEXT_FULL (a text is too long), E_LLAMA.
    std::vector<float> classify(const std::vector<std::string> & texts) { return texts_.compute(texts, n_labels_); }

private:
    int32_t      n_labels_;
    pooled_texts texts_;
};
