#pragma once
#include "engine/counted.h"
#include "engine/dry_prototype.h"
#include "engine/hook_site.h"
#include "engine/llama_pointers.h"
#include "engine/steering_terms.h"
#include "engine/tensor_file.h"
#include "llama.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

// Loads the ggml back ends in `folder` and the GPU back ends `plugins` (paths of shared libraries) and initialises
// llama.cpp, once per process. A plugin that does not load is skipped: its driver may be missing.
// Throws E_NATIVE when there is no CPU back end.
void load_backends(const std::string & folder, const std::vector<std::string> & plugins);

// Where the weights are and how they are loaded.
struct weights_options {
    int32_t n_gpu_layers = -1; // all
    bool    use_mmap     = true;
    // The back end whose devices compute, in lower case, e.g. "cuda"; "cpu" = no device; empty = llama.cpp's choice.
    std::string backend;
    // RPC servers whose devices compute before this machine's, as "host:port".
    std::vector<std::string> rpc;
};

// A loaded GGUF, shared by its contexts. What it computes on demand, it computes once, on any thread.
class llama_weights : counted<llama_weights> {
public:
    using counted<llama_weights>::alive;

    // Throws E_BAD_GGUF with llama.cpp's last error line. n_gpu_layers < 0 = all.
    llama_weights(const std::string & path, const weights_options & options);

    llama_model *       model() const { return model_.get(); }
    const llama_vocab * vocab() const { return llama_model_get_vocab(model_.get()); }
    int32_t             n_vocab() const { return llama_vocab_n_tokens(vocab()); }
    // True for tokens that end a text, such as the end of a turn.
    bool                is_end(llama_token token) const { return llama_vocab_is_eog(vocab(), token); }
    int32_t             n_layer() const { return llama_model_n_layer(model_.get()); }
    int32_t             n_embd() const { return llama_model_n_embd(model_.get()); }
    // Heads of the first layer or, if it has none, of the layer that has most.
    int32_t             n_head() const;
    // Width of a head's output, by W_O's shape where the model has one. Layers with fewer heads may have another width.
    int32_t             d_head() const;

    // Distinguishes the models of a process: each refuses what was made for another.
    uint64_t id() const { return id_; }
    // Throws E_BAD_ARGUMENT.
    void check_own(uint64_t model_id) const;

    // True for a language model that can be steered and generate text.
    bool is_causal() const;
    // True for an encoder with a decoder that reads its own output (T5): a translator. Others with both cannot be used alone.
    bool is_encoder_decoder() const;
    // True for an encoder that classifies texts.
    bool has_classification_head() const;
    // Labels of the classification head: the file's names, or LABEL_0 and so on; empty without a head.
    std::vector<std::string> labels() const;

    // True if a device with its own memory may compute some of the layers.
    bool uses_device() const { return uses_device_; }

    // The sites of the model, with their layers and widths. A context finds their nodes in its own graphs.
    const site_map & sites() const { return sites_; }
    // True if a sequence's memory is not just one cell per token: it can only be copied and removed as a whole.
    bool has_whole_sequences() const { return llama_model_is_recurrent(model()) || llama_model_is_hybrid(model()); }
    // True if vectors can be added to W_O's product in the graph (graph_path.h).
    bool has_plain_attention_output() const;

    // data: [layers, n_steps, width]. n_threads: where the graph path is going to need products with W_O, this many threads start to
    // compute them; 0 = start_products() does it.
    // Throws E_SHAPE (layers that are not ascending layers of the model, another width), E_NOT_FINITE, E_NO_SITE.
    std::shared_ptr<const steering_vector> make_vector(hook_site site, std::vector<int> layers, int n_steps, int width,
                                                       const std::vector<float> & data, int n_threads) const;
    // Throws E_SHAPE (not ascending, or not layers of the model), E_NO_SITE.
    void check_layers(hook_site site, const std::vector<int> & layers) const;
    // Starts the products of a vector at head_out with W_O, unless they were started before.
    void start_products(const steering_vector & vector, int n_threads) const { vector.start_products(file_, n_threads); }

    // A LoRA adapter of zeros for every W_O. Freed with the model. Throws E_LLAMA.
    llama_adapter_lora * zero_adapter() const;

    // A DRY sampler without history; the caller owns it.
    llama_sampler * make_dry_sampler(const dry_options & options) const { return dry_prototype_.make(vocab(), options); }

    // Value of a metadata key of the GGUF, or an empty string.
    std::string metadata(const std::string & key) const;
    // FNV-1a over every token's text and attributes: equal for equal vocabularies.
    std::string tokenizer_hash() const;

    // add_special: add what the vocabulary begins and ends a text with, e.g. CLS and SEP.
    std::vector<llama_token> tokenise(const std::string & text, bool add_special, bool parse_special) const;
    // Tokens of a text to be continued: with BOS if add_bos is set and the vocabulary wants one, and never with an EOS that the text does
    // not have.
    std::vector<llama_token> tokenise_prompt(const std::string & text, bool add_bos, bool parse_special) const;
    // Bytes of the tokens' texts, with show_special those of control tokens too; may end within a UTF-8 character. Throws E_BAD_TOKEN.
    std::string detokenise(const std::vector<llama_token> & tokens, bool show_special = false) const;

    // The tokens that write something, by their bytes in ascending order.
    std::vector<std::pair<std::string, llama_token>> pieces() const;

    // A token that is found as a whole, before the rest of the text is tokenised.
    struct special_token {
        llama_token      token;
        std::string      text;
        llama_token_attr attributes;
    };
    // Longest first, as llama.cpp looks for them.
    std::vector<special_token> special_tokens() const;

private:
    const tensor_file::entry * attention_output(int layer) const;

    static inline std::atomic<uint64_t>                       next_id_{0};
    const uint64_t                                            id_ = next_id_++;
    const std::shared_ptr<const tensor_file>                  file_;
    const model_pointer                                       model_;
    bool                                                      uses_device_;
    site_map                                                  sites_;
    mutable std::atomic<uint64_t>                             next_serial_{0};
    mutable std::mutex                                        mutex_;
    mutable llama_adapter_lora *                              zero_adapter_ = nullptr;
    mutable dry_prototype                                     dry_prototype_;
};
