#include "engine/text_classifier.h"

#include "engine/failure.h"

namespace {

// Checked before a context is made.
std::shared_ptr<llama_weights> with_head(std::shared_ptr<llama_weights> weights) {
    if (!weights->has_classification_head()) throw failure("E_BAD_GGUF", "the model has no classification head");
    // The head reads the first position. An XLM-R converted without tokenizer.json would read texts without their <s>.
    if (!llama_vocab_get_add_bos(weights->vocab())) {
        throw failure("E_BAD_GGUF", "the file adds no BOS token (tokenizer.ggml.add_bos_token), which the classification head reads: "
            "convert it again from a folder that has tokenizer.json");
    }
    return weights;
}

} // namespace

text_classifier::text_classifier(std::shared_ptr<llama_weights> weights, int32_t n_threads)
    : n_labels_(int32_t(llama_model_n_cls_out(weights->model()))),
      texts_(with_head(std::move(weights)), n_threads, LLAMA_POOLING_TYPE_RANK, "classifier") {
    if (texts_.has_memory()) throw failure("E_BAD_GGUF", "the model has a KV cache, so it is not an encoder");
}
