#pragma once
#include "llama.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// Loads the ggml back ends in `folder` and the GPU back ends `plugins` (paths of shared libraries) and initialises
// llama.cpp, once per process. A plugin that does not load is left out: its driver may be missing.
// Throws E_NATIVE when there is no CPU back end.
void load_backends(const std::string & folder, const std::vector<std::string> & plugins);

// A loaded GGUF. Immutable, shared by its contexts.
class llama_weights {
public:
    // Throws E_BAD_GGUF with llama.cpp's last error line. n_gpu_layers < 0 = all.
    llama_weights(const std::string & path, int32_t n_gpu_layers, bool use_mmap);

    llama_model *       model() const { return model_.get(); }
    const llama_vocab * vocab() const { return llama_model_get_vocab(model_.get()); }
    int32_t             n_vocab() const { return llama_vocab_n_tokens(vocab()); }
    int32_t             n_layer() const { return llama_model_n_layer(model_.get()); }
    // Width of head_out: n_head * d_head.
    int32_t             head_out_width() const;
    int32_t             d_head() const;

    // Value of a metadata key of the GGUF, or an empty string.
    std::string metadata(const std::string & key) const;
    // FNV-1a over every token's text and attributes: equal for equal vocabularies.
    std::string tokenizer_hash() const;

    std::vector<llama_token> tokenise(const std::string & text, bool add_special, bool parse_special) const;
    // Bytes of the tokens' texts; may end inside a UTF-8 character. Throws E_BAD_TOKEN.
    std::string detokenise(const std::vector<llama_token> & tokens) const;

private:
    std::unique_ptr<llama_model, decltype(&llama_model_free)> model_;
};
