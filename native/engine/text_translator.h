#pragma once
#include "engine/abortable.h"
#include "engine/counted.h"
#include "engine/llama_pointers.h"
#include "engine/llama_weights.h"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

struct translation {
    std::vector<llama_token> tokens; // without the end of generation
    std::string              text;   // their bytes; may end within a UTF-8 character when truncated
    double                   log_probability = 0; // sum over the tokens and the end, in nats (lib/native/binding.ts)
    bool                     is_truncated    = true;
};

// Runs an encoder–decoder (T5, MADLAD-400) greedily. Not thread-safe: one job at a time.
class text_translator : counted<text_translator>, public abortable {
public:
    using counted<text_translator>::alive;

    // Throws E_BAD_GGUF where the model is not an encoder-decoder that llama.cpp can run, E_BAD_ARGUMENT, E_LLAMA.
    text_translator(std::shared_ptr<llama_weights> weights, int32_t n_threads, bool kv_f32);
    ~text_translator() { llama_batch_free(batch_); }

    // Number of threads from the next call on. Throws E_BAD_ARGUMENT.
    void set_threads(int32_t n_threads);

    // One per text, of at most `n_max` tokens. Special tokens are read in `prefix`, never in the texts.
    // Throws E_BAD_ARGUMENT (an empty text, a language that the model does not know), E_CONTEXT_FULL (a text is too long), E_NOT_FINITE,
    // E_ABORTED, E_LLAMA.
    std::vector<translation> translate(const std::vector<std::string> & texts, const std::string & prefix, int32_t n_max);

private:
    using token_list = std::vector<llama_token>;

    token_list read_prefix(const std::string & prefix) const;
    token_list read_source(const std::string & text, const token_list & prefix, const std::string & which) const;
    // Replaces tokens that are marks (a language tag, a control token) by the tokens of their letters.
    token_list spell_marks(const token_list & tokens, const std::string & which) const;

    // A context of at least this many rows per batch and KV cells. Throws E_LLAMA.
    void reserve(int32_t n_rows, int32_t n_cells);
    // The end of the sources that are encoded together with the one at `begin`.
    size_t group_end(const std::vector<token_list> & sources, size_t begin, int32_t n_max) const;
    void   encode(const std::vector<token_list> & sources, size_t begin, size_t end);
    void   decode(std::vector<translation> & results, size_t begin, size_t end, int32_t n_max);
    void   add_row(llama_token token, llama_pos position, llama_seq_id sequence);
    void   compute(int32_t (*function)(llama_context *, llama_batch), const char * name);

    std::shared_ptr<llama_weights>                        weights_;
    int32_t                                               n_threads_;
    const bool                                            kv_f32_;
    llama_token                                           start_ = LLAMA_TOKEN_NULL;
    std::unordered_map<std::string, llama_token>          letters_; // tokens of one character
    context_pointer                                       context_;
    int32_t                                               n_rows_  = 0;
    int32_t                                               n_cells_ = 0;
    llama_batch                                           batch_   = {};
};
