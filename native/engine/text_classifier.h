#pragma once
#include "engine/counted.h"
#include "engine/llama_pointers.h"
#include "engine/llama_weights.h"

#include <memory>
#include <string>
#include <vector>

// Runs a model with a classification head (BERT, XLM-R): a score per label for each text. One call at a time.
class text_classifier : counted<text_classifier> {
public:
    using counted<text_classifier>::alive;

    // Throws E_BAD_GGUF where the model has no classification head, E_LLAMA.
    text_classifier(std::shared_ptr<llama_weights> weights, int32_t n_threads);
    ~text_classifier() { llama_batch_free(batch_); }

    // Number of threads from the next call on. Throws E_BAD_ARGUMENT.
    void set_threads(int32_t n_threads);

    // Logits [texts, labels]. Throws E_BAD_ARGUMENT (an empty text), E_CONTEXT_FULL (a text is too long), E_LLAMA.
    std::vector<float> classify(const std::vector<std::string> & texts);

private:
    // Fills the batch with texts from `begin` on; returns the end of those that fitted.
    size_t fill(const std::vector<std::vector<llama_token>> & texts, size_t begin);

    std::shared_ptr<llama_weights>                        weights_;
    int32_t                                               n_labels_;
    context_pointer                                       context_;
    llama_batch                                           batch_ = {};
};
