#include "engine/llama_weights.h"

#include "engine/cpu_backend.h"
#include "engine/device_choice.h"
#include "engine/failure.h"
#include "engine/graph_sites.h"
#include "engine/node_names.h"
#include "engine/zero_adapter.h"
#include "ggml-backend.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

void load_backends(const std::string & folder, const std::vector<std::string> & plugins) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    const log_sink log;
    // node-llama-cpp may have loaded them in the same process; a second copy would list every device twice.
    if (cpu_registry() == nullptr) {
        // Before llama_backend_init, which would otherwise search the folder of the executable and the working folder.
        ggml_backend_load_all_from_path(folder.c_str());
        for (const auto & plugin : plugins) ggml_backend_load(plugin.c_str());
        if (cpu_registry() == nullptr) throw failure("E_NATIVE", "no CPU back end of ggml was found in " + folder);
    }
    static bool initialised = false;
    if (!initialised) llama_backend_init();
    initialised = true;
}

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

// After reading a vocabulary of 262,144 tokens, glibc would keep some 8 MB of freed memory for this thread.
void return_freed_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

llama_model * load_model(const std::string & path, const weights_options & options) {
    log_sink log;
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = options.n_gpu_layers;
    auto devices = devices_for(options);
    if (!devices.empty() || !options.backend.empty()) {
        devices.push_back(nullptr); // their end
        params.devices = devices.data();
    }
    if (!options.use_mmap) params.load_mode = LLAMA_LOAD_MODE_NONE;
    llama_model * model = llama_model_load_from_file(path.c_str(), params);
    if (model == nullptr) {
        const std::string why = log.explain("llama.cpp cannot load " + path);
        throw failure(!options.rpc.empty() && why.find("RPC") != std::string::npos ? "E_NATIVE" : "E_BAD_GGUF", why);
    }
    return_freed_memory();
    return model;
}

} // namespace

llama_weights::llama_weights(const std::string & path, const weights_options & options)
    : file_(std::make_shared<const tensor_file>(path)), model_(load_model(path, options)), uses_device_(may_use_device(options)) {
    if (is_causal()) sites_ = find_sites(model(), metadata("general.architecture"));
}

bool llama_weights::is_causal() const {
    return llama_model_has_decoder(model()) && !llama_model_has_encoder(model()) && !llama_model_is_diffusion(model())
        && metadata(metadata("general.architecture") + ".attention.causal") != "false";
}

bool llama_weights::is_encoder_decoder() const {
    return llama_model_has_encoder(model()) && llama_model_has_decoder(model()) && metadata("general.architecture") == "t5";
}

bool llama_weights::has_classification_head() const {
    // The file comes last: reading its header takes time, which a language model need not spend.
    return !is_causal() && file_->find(std::string(node_names::CLASSIFIER_OUTPUT)) != nullptr;
}

std::vector<std::string> llama_weights::labels() const {
    std::vector<std::string> labels;
    if (!has_classification_head()) return labels;
    for (uint32_t i = 0; i < llama_model_n_cls_out(model()); ++i) {
        const char * label = llama_model_cls_label(model(), i);
        labels.push_back(label != nullptr ? label : "LABEL_" + std::to_string(i));
    }
    return labels;
}

int32_t llama_weights::n_head() const {
    const int32_t first = llama_model_n_head(model());
    if (first != 0) return first;
    // A hybrid model that begins with a layer without attention has a list: "[0, 8, 0]".
    const std::string counts = metadata(metadata("general.architecture") + ".attention.head_count");
    int32_t most = 0;
    for (const char * text = counts.c_str(); *text != '\0';) {
        if (*text < '0' || *text > '9') { ++text; continue; }
        char * end = nullptr;
        most = std::max(most, int32_t(std::strtol(text, &end, 10)));
        text = end;
    }
    return most;
}

int32_t llama_weights::d_head() const {
    const int32_t n_head = this->n_head();
    const auto layers = sites_.layers(hook_site::head_out);
    if (n_head == 0) return 0;
    if (!layers.empty()) return int32_t(sites_.find(hook_site::head_out, layers.front())->width) / n_head;
    const std::string length = metadata(metadata("general.architecture") + ".attention.value_length");
    return length.empty() ? n_embd() / n_head : std::atoi(length.c_str());
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
    const auto tokenise_into = [&](std::vector<llama_token> & room) {
        return llama_tokenize(vocab(), text.data(), int32_t(text.size()), room.data(), int32_t(room.size()), add_special, parse_special);
    };
    int32_t n = tokenise_into(tokens);
    if (n < 0) {
        tokens.resize(size_t(-n));
        n = tokenise_into(tokens);
    }
    if (n < 0) throw failure("E_LLAMA", "the text could not be tokenised", n);
    tokens.resize(size_t(n));
    return tokens;
}

std::vector<llama_token> llama_weights::tokenise_prompt(const std::string & text, bool add_bos, bool parse_special) const {
    std::vector<llama_token> tokens = tokenise(text, false, parse_special);
    const enum llama_vocab_type type = llama_vocab_type(vocab());
    const bool knows_bos = type == LLAMA_VOCAB_TYPE_SPM || type == LLAMA_VOCAB_TYPE_BPE || type == LLAMA_VOCAB_TYPE_UGM
        || type == LLAMA_VOCAB_TYPE_WPM;
    const llama_token bos = llama_vocab_bos(vocab());
    if (add_bos && knows_bos && bos != LLAMA_TOKEN_NULL && llama_vocab_get_add_bos(vocab())) tokens.insert(tokens.begin(), bos);
    return tokens;
}

std::vector<llama_weights::special_token> llama_weights::special_tokens() const {
    std::vector<special_token> tokens;
    for (llama_token token = 0; token < n_vocab(); ++token) {
        const llama_token_attr attributes = llama_vocab_get_attr(vocab(), token);
        if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED | LLAMA_TOKEN_ATTR_UNKNOWN)) == 0) continue;
        const char * text = llama_vocab_get_text(vocab(), token);
        if (*text != '\0') tokens.push_back({token, text, attributes});
    }
    std::stable_sort(tokens.begin(), tokens.end(), [](const auto & a, const auto & b) { return a.text.size() > b.text.size(); });
    return tokens;
}

std::string llama_weights::detokenise(const std::vector<llama_token> & tokens, bool show_special) const {
    std::string bytes;
    std::vector<char> piece(64);
    for (llama_token token : tokens) {
        if (token < 0 || token >= n_vocab()) {
            throw failure("E_BAD_TOKEN", "token " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(n_vocab()));
        }
        int32_t n = llama_token_to_piece(vocab(), token, piece.data(), int32_t(piece.size()), 0, show_special);
        if (n < 0) {
            piece.resize(size_t(-n));
            n = llama_token_to_piece(vocab(), token, piece.data(), int32_t(piece.size()), 0, show_special);
        }
        bytes.append(piece.data(), size_t(std::max(n, 0)));
    }
    return bytes;
}

std::vector<std::pair<std::string, llama_token>> llama_weights::pieces() const {
    std::vector<std::pair<std::string, llama_token>> result;
    for (llama_token token = 0; token < n_vocab(); ++token) {
        if (std::string piece = detokenise({token}); !piece.empty()) result.emplace_back(std::move(piece), token);
    }
    std::sort(result.begin(), result.end());
    return result;
}

const tensor_file::entry * llama_weights::attention_output(int layer) const {
    return file_->find(node_names::spell_block_weight(layer, node_names::ATTENTION_OUTPUT));
}

bool llama_weights::has_plain_attention_output() const {
    for (int layer = 0; layer < n_layer(); ++layer) {
        // A scale is applied to the product before an adapter's is added.
        const std::string scale = node_names::spell_block_weight(layer, node_names::ATTENTION_OUTPUT_SCALE);
        if (attention_output(layer) == nullptr || file_->find(scale) != nullptr) return false;
    }
    return true;
}

void llama_weights::check_layers(hook_site site, const std::vector<int> & layers) const {
    sites_.width(site);
    if (layers.empty() || layers.front() < 0 || layers.back() >= n_layer()) {
        throw failure("E_SHAPE", "layers must be from 0 to " + std::to_string(n_layer() - 1) + ", at least one");
    }
    if (std::adjacent_find(layers.begin(), layers.end(), std::greater_equal<int>()) != layers.end()) {
        throw failure("E_SHAPE", "layers must be ascending, each layer once");
    }
    sites_.check(site, layers);
}

std::shared_ptr<const steering_vector> llama_weights::make_vector(hook_site site, std::vector<int> layers, int n_steps, int width,
                                                                  const std::vector<float> & data, int n_threads) const {
    check_layers(site, layers);
    const int32_t expected = sites_.width(site);
    if (width != expected) {
        throw failure("E_SHAPE", "the vector's width is " + std::to_string(width) + "; the model's at " + hook_site_name(site) + " is "
            + std::to_string(expected));
    }
    if (data.size() != layers.size() * size_t(n_steps) * width) {
        throw failure("E_SHAPE", "the vector has " + std::to_string(data.size()) + " values; [" + std::to_string(layers.size()) + ", "
            + std::to_string(n_steps) + ", " + std::to_string(width) + "] was expected");
    }
    if (!std::all_of(data.begin(), data.end(), [](float x) { return std::isfinite(x); })) {
        throw failure("E_NOT_FINITE", "the vector holds a value that is not finite");
    }
    auto vector = std::make_shared<const steering_vector>(site, std::move(layers), n_steps, width, data.data(), next_serial_++, id_);
    if (site == hook_site::head_out && n_threads > 0 && sites_.knows_graph()) start_products(*vector, n_threads);
    return vector;
}

void llama_weights::check_own(uint64_t model_id) const {
    if (model_id != id_) throw failure("E_BAD_ARGUMENT", "a vector, capture, gate or sampler of another model");
}

llama_adapter_lora * llama_weights::zero_adapter() const {
    std::vector<adapted_weight> weights;
    for (int layer = 0; layer < n_layer(); ++layer) {
        const auto * weight = attention_output(layer);
        weights.push_back({node_names::spell_block_weight(layer, node_names::ATTENTION_OUTPUT), weight->n_in, weight->n_out});
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (zero_adapter_ == nullptr) zero_adapter_ = load_zero_adapter(model_.get(), metadata("general.architecture"), weights);
    return zero_adapter_;
}
