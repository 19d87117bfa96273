#include "engine/llama_weights.h"

#include "engine/cpu_backend.h"
#include "engine/log_sink.h"
#include "failure.h"
#include "ggml-backend.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

void load_backends(const std::string & folder, const std::vector<std::string> & plugins) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    log_sink::install();
    // node-llama-cpp in the same process may have loaded them: a second copy would list every device twice.
    if (cpu_registry() == nullptr) {
        // Before llama_backend_init, which would otherwise look beside the executable and in the working folder.
        ggml_backend_load_all_from_path(folder.c_str());
        for (const auto & plugin : plugins) ggml_backend_load(plugin.c_str());
        if (cpu_registry() == nullptr) throw failure("E_NATIVE", "no CPU back end of ggml was found in " + folder);
    }
    static bool initialised = false;
    if (!initialised) llama_backend_init();
    initialised = true;
}

llama_weights::llama_weights(const std::string & path, int32_t n_gpu_layers, bool use_mmap)
    : model_(nullptr, llama_model_free) {
    log_sink log;
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = n_gpu_layers;
    if (!use_mmap) params.load_mode = LLAMA_LOAD_MODE_NONE;
    model_.reset(llama_model_load_from_file(path.c_str(), params));
    if (!model_) throw failure("E_BAD_GGUF", log.explain("llama.cpp cannot load " + path));
    if (!llama_model_has_decoder(model_.get()) || llama_model_has_encoder(model_.get())) {
        throw failure("E_BAD_GGUF", path + " is not a causal language model");
    }
}

int32_t llama_weights::d_head() const {
    const std::string length = metadata(metadata("general.architecture") + ".attention.value_length");
    if (!length.empty()) return std::atoi(length.c_str());
    const int32_t n_head = llama_model_n_head(model_.get());
    return n_head == 0 ? 0 : llama_model_n_embd(model_.get()) / n_head;
}

int32_t llama_weights::head_out_width() const {
    return d_head() * llama_model_n_head(model_.get());
}

std::string llama_weights::metadata(const std::string & key) const {
    const int32_t length = llama_model_meta_val_str(model_.get(), key.c_str(), nullptr, 0);
    if (length < 0) return "";
    std::string value(size_t(length) + 1, '\0');
    llama_model_meta_val_str(model_.get(), key.c_str(), value.data(), value.size());
    value.resize(length);
    return value;
}

std::string llama_weights::tokenizer_hash() const {
    uint64_t hash = 0xcbf29ce484222325ull;
    const auto mix = [&hash](const void * data, size_t size) {
        const auto * bytes = static_cast<const unsigned char *>(data);
        for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3ull;
    };
    const int32_t n = n_vocab();
    for (llama_token token = 0; token < n; ++token) {
        const char * text = llama_vocab_get_text(vocab(), token);
        mix(text, std::strlen(text) + 1);
        const auto attributes = int32_t(llama_vocab_get_attr(vocab(), token));
        mix(&attributes, sizeof(attributes));
    }
    char text[32];
    std::snprintf(text, sizeof(text), "fnv1a:%016llx", (unsigned long long) hash);
    return text;
}

std::vector<llama_token> llama_weights::tokenise(const std::string & text, bool add_special, bool parse_special) const {
    std::vector<llama_token> tokens(text.size() + 8);
    int32_t n = llama_tokenize(vocab(), text.data(), int32_t(text.size()), tokens.data(), int32_t(tokens.size()), add_special, parse_special);
    if (n < 0) {
        tokens.resize(size_t(-n));
        n = llama_tokenize(vocab(), text.data(), int32_t(text.size()), tokens.data(), int32_t(tokens.size()), add_special, parse_special);
    }
    if (n < 0) throw failure("E_LLAMA", "the text could not be tokenised", n);
    tokens.resize(size_t(n));
    return tokens;
}

std::string llama_weights::detokenise(const std::vector<llama_token> & tokens) const {
    std::string bytes;
    std::vector<char> piece(64);
    for (llama_token token : tokens) {
        if (token < 0 || token >= n_vocab()) throw failure("E_BAD_TOKEN", "token " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(n_vocab()));
        int32_t n = llama_token_to_piece(vocab(), token, piece.data(), int32_t(piece.size()), 0, false);
        if (n < 0) {
            piece.resize(size_t(-n));
            n = llama_token_to_piece(vocab(), token, piece.data(), int32_t(piece.size()), 0, false);
        }
        bytes.append(piece.data(), size_t(std::max(n, 0)));
    }
    return bytes;
}
