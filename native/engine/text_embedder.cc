#include "engine/text_embedder.h"

#include "engine/failure.h"

namespace {

// Checked before a context is made: a language model's would be large.
std::shared_ptr<llama_weights> with_pooling(std::shared_ptr<llama_weights> weights) {
    const llama_model * model = weights->model();
    if (llama_model_has_encoder(model) && llama_model_has_decoder(model)) {
        throw failure("E_BAD_GGUF", "the model is an encoder with a decoder, which gives no vectors of texts");
    }
    const std::string key = weights->metadata("general.architecture") + ".pooling_type";
    const std::string declared = weights->metadata(key);
    if (declared.empty() || declared == std::to_string(LLAMA_POOLING_TYPE_NONE)) {
        throw failure("E_BAD_GGUF", "the file declares no pooling (" + key + "), so it is not an embedding model; expected 1 (mean), "
            "2 (cls) or 3 (last)");
    }
    if (declared == std::to_string(LLAMA_POOLING_TYPE_RANK)) {
        throw failure("E_BAD_GGUF", "the file declares pooling 4 (rank): it scores pairs of texts, and gives no vectors of texts");
    }
    const auto known = {LLAMA_POOLING_TYPE_MEAN, LLAMA_POOLING_TYPE_CLS, LLAMA_POOLING_TYPE_LAST};
    bool is_known = false;
    for (const auto type : known) is_known = is_known || declared == std::to_string(type);
    if (!is_known) throw failure("E_BAD_GGUF", key + " is " + declared + "; expected 1 (mean), 2 (cls) or 3 (last)");
    // Pooling cls takes the first position's state: without the mark that stands there, it would be that of the first word.
    if (declared == std::to_string(LLAMA_POOLING_TYPE_CLS) && !llama_vocab_get_add_bos(weights->vocab())) {
        throw failure("E_BAD_GGUF", "the file adds no BOS token (tokenizer.ggml.add_bos_token), whose state its pooling takes: convert it "
            "again from a folder that has tokenizer.json");
    }
    return weights;
}

} // namespace

text_embedder::text_embedder(std::shared_ptr<llama_weights> weights, int32_t n_threads)
    : width_(llama_model_n_embd_out(weights->model())),
      texts_(with_pooling(std::move(weights)), n_threads, LLAMA_POOLING_TYPE_UNSPECIFIED, "embedding model") {}

const char * text_embedder::pooling() const {
    switch (texts_.pooling()) {
        case LLAMA_POOLING_TYPE_MEAN: return "mean";
        case LLAMA_POOLING_TYPE_CLS:  return "cls";
        default:                      return "last";
    }
}
