#include "engine/text_translator.h"

#include "engine/cpu_backend.h"
#include "engine/distribution.h"
#include "engine/failure.h"
#include "engine/log_sink.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace {

// Rows of one batch. A text must fit into one, because every token attends to all others.
constexpr int32_t MAX_ROWS = 512;
// Several texts share a batch of at most this many rows: llama.cpp reserves memory for the logits of every row of the encoder, 1 MB
// each with MADLAD-400's vocabulary, although none are computed, and each step recomputes the keys and values of all these rows.
constexpr int32_t SHARED_ROWS = 128;
// Cells of the decoder that several texts share: 256 KB each for MADLAD-400-3B.
constexpr int32_t SHARED_CELLS = 1024;
constexpr int32_t MAX_TEXTS    = 8;
constexpr int32_t MAX_NEW      = 1024;
// llama.cpp's logarithmic buckets of distances end at 128. With fewer than 4 buckets, or with 256, it computes indices out of range and
// ends the process, sometimes only for texts longer than those with which a file is checked.
constexpr int32_t LEAST_BUCKETS = 4;
constexpr int32_t MOST_BUCKETS  = 255;

constexpr const char * SPACE = "\xE2\x96\x81"; // U+2581: a space in a vocabulary of SentencePiece

int32_t round_up(int32_t n, int32_t step) { return (n + step - 1) / step * step; }

// True for MADLAD-400's marks of languages and tasks: <2en>.
bool is_tag(const std::string & text) {
    return text.size() > 3 && text.compare(0, 2, "<2") == 0 && text.find_first_of("<>", 1) == text.size() - 1 && text.back() == '>';
}

// Converted files list tags as ordinary tokens, so their form has to tell; sentinels and the like are listed as special.
bool is_mark(const llama_vocab * vocab, llama_token token) {
    const std::string text = llama_vocab_get_text(vocab, token);
    const bool is_special = (llama_vocab_get_attr(vocab, token) & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED)) != 0;
    return is_tag(text) || (is_special && text.size() > 2 && text.front() == '<' && text.back() == '>');
}

// Number of bytes of the UTF-8 character that begins with this byte.
size_t length_of_letter(char first) {
    const auto byte = static_cast<unsigned char>(first);
    return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

} // namespace

text_translator::text_translator(std::shared_ptr<llama_weights> weights, int32_t n_threads, bool kv_f32)
    : weights_(std::move(weights)), n_threads_(n_threads), kv_f32_(kv_f32) {
    if (!weights_->is_encoder_decoder()) throw failure("E_BAD_GGUF", "the model is not an encoder-decoder");
    check_threads(n_threads);
    const int32_t n_buckets = std::atoi(weights_->metadata("t5.attention.relative_buckets_count").c_str());
    if (n_buckets < LEAST_BUCKETS || n_buckets > MOST_BUCKETS) {
        throw failure("E_BAD_GGUF", "the model has " + std::to_string(n_buckets) + " buckets of distances; from "
            + std::to_string(LEAST_BUCKETS) + " to " + std::to_string(MOST_BUCKETS) + " can be computed");
    }
    const llama_vocab * vocab = weights_->vocab();
    for (llama_token token : {llama_vocab_pad(vocab), llama_vocab_bos(vocab), llama_model_decoder_start_token(weights_->model())}) {
        if (token != LLAMA_TOKEN_NULL) start_ = token;
    }
    if (start_ < 0 || start_ >= weights_->n_vocab()) {
        throw failure("E_BAD_GGUF", "the model does not say which token of its vocabulary starts the decoder");
    }
    for (llama_token token = 0; token < weights_->n_vocab(); ++token) {
        const char * text = llama_vocab_get_text(vocab, token);
        const bool is_normal = (llama_vocab_get_attr(vocab, token) & LLAMA_TOKEN_ATTR_NORMAL) != 0;
        if (is_normal && *text != '\0' && std::strlen(text) == length_of_letter(*text)) letters_.emplace(text, token);
    }
    reserve(SHARED_ROWS, 1);
    batch_ = llama_batch_init(MAX_ROWS, 0, 1);
}

void text_translator::set_threads(int32_t n_threads) {
    check_threads(n_threads);
    n_threads_ = n_threads;
    if (context_) llama_set_n_threads(context_.get(), n_threads, n_threads);
}

void text_translator::reserve(int32_t n_rows, int32_t n_cells) {
    if (context_ && n_rows <= n_rows_ && n_cells <= n_cells_) return;
    n_rows  = std::max(n_rows_, round_up(n_rows, SHARED_ROWS));
    n_cells = std::max(n_cells_, round_up(n_cells, 256));
    context_.reset(); // before the new one takes its memory
    log_sink log;
    llama_context_params params = llama_context_default_params();
    params.n_ctx           = uint32_t(std::max(n_cells, n_rows)); // llama.cpp accepts no batch larger than the context
    params.n_batch = params.n_ubatch = params.n_outputs_max = uint32_t(n_rows);
    params.n_seq_max       = MAX_TEXTS;
    params.n_threads       = n_threads_;
    params.n_threads_batch = n_threads_;
    params.pooling_type    = LLAMA_POOLING_TYPE_NONE;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED; // flash attention cannot add the bias of distances
    params.type_k = params.type_v = kv_f32_ ? GGML_TYPE_F32 : GGML_TYPE_F16;
    params.kv_unified      = true; // the bias does not work with a stream per sequence
    params.no_perf         = true;
    stop_on_abort(params);
    context_.reset(llama_init_from_model(weights_->model(), params));
    const bool is_whole = context_ && llama_get_memory(context_.get()) != nullptr
        && llama_n_ubatch(context_.get()) >= uint32_t(n_rows) && llama_n_ctx(context_.get()) >= uint32_t(n_cells);
    if (!is_whole) {
        context_.reset();
        throw failure("E_LLAMA", log.explain("llama.cpp could not create a context"));
    }
    n_rows_  = n_rows;
    n_cells_ = n_cells;
}

std::vector<translation> text_translator::translate(const std::vector<std::string> & texts, const std::string & prefix, int32_t n_max) {
    if (n_max < 1 || n_max > MAX_NEW) {
        throw failure("E_BAD_ARGUMENT", "nMax must be from 1 to " + std::to_string(MAX_NEW) + " tokens");
    }
    const token_list prefix_tokens = read_prefix(prefix);
    std::vector<token_list> sources;
    for (const auto & text : texts) {
        if (is_aborted()) throw failure("E_ABORTED", "the work was stopped before its end");
        sources.push_back(read_source(text, prefix_tokens, "text " + std::to_string(sources.size())));
    }
    std::vector<translation> results(texts.size());
    try {
        for (size_t begin = 0; begin < texts.size();) {
            const size_t end = group_end(sources, begin, n_max);
            int32_t n_rows = 0;
            for (size_t text = begin; text < end; ++text) n_rows += int32_t(sources[text].size());
            reserve(n_rows, int32_t(end - begin) * n_max);
            llama_memory_clear(llama_get_memory(context_.get()), false);
            encode(sources, begin, end);
            decode(results, begin, end, n_max);
            begin = end;
        }
    } catch (...) {
        context_.reset(); // a cell that is not finite would spoil the next texts
        throw;
    }
    return results;
}

std::vector<llama_token> text_translator::read_prefix(const std::string & prefix) const {
    if (prefix.empty()) return {};
    const token_list tokens = weights_->tokenise(prefix, false, true);
    const auto is_prefix = [&](llama_token token) { return prefix == llama_vocab_get_text(weights_->vocab(), token); };
    if (is_tag(prefix) && std::none_of(tokens.begin(), tokens.end(), is_prefix)) {
        throw failure("E_BAD_ARGUMENT", "the model has no token " + prefix + ": it does not know this language, or wants another prefix");
    }
    return tokens;
}

std::vector<llama_token> text_translator::read_source(const std::string & text, const token_list & prefix,
                                                      const std::string & which) const {
    const llama_vocab * vocab = weights_->vocab();
    token_list tokens = weights_->tokenise(text, false, false);
    if (tokens.empty()) throw failure("E_BAD_ARGUMENT", which + " is empty");
    // Without a space before the text, its first word would be joined to the prefix.
    const bool has_space = std::strncmp(llama_vocab_get_text(vocab, tokens.front()), SPACE, std::strlen(SPACE)) == 0;
    if (!prefix.empty() && !has_space) tokens = weights_->tokenise(" " + text, false, false);
    tokens = spell_marks(tokens, which);

    token_list source;
    if (llama_vocab_get_add_bos(vocab) && llama_vocab_bos(vocab) != LLAMA_TOKEN_NULL) source.push_back(llama_vocab_bos(vocab));
    source.insert(source.end(), prefix.begin(), prefix.end());
    source.insert(source.end(), tokens.begin(), tokens.end());
    if (llama_vocab_get_add_eos(vocab) && llama_vocab_eos(vocab) != LLAMA_TOKEN_NULL) source.push_back(llama_vocab_eos(vocab));
    if (source.size() > size_t(MAX_ROWS)) {
        throw failure("E_CONTEXT_FULL", which + " has " + std::to_string(source.size()) + " tokens; the translator takes "
            + std::to_string(MAX_ROWS) + ": shorten or split it");
    }
    return source;
}

std::vector<llama_token> text_translator::spell_marks(const token_list & tokens, const std::string & which) const {
    token_list spelt;
    for (llama_token token : tokens) {
        if (!is_mark(weights_->vocab(), token)) {
            spelt.push_back(token);
            continue;
        }
        const std::string mark = llama_vocab_get_text(weights_->vocab(), token);
        for (size_t at = 0; at < mark.size(); at += length_of_letter(mark[at])) {
            const auto letter = letters_.find(mark.substr(at, length_of_letter(mark[at])));
            if (letter == letters_.end()) {
                throw failure("E_BAD_ARGUMENT", which + " holds the mark " + mark + ", which the model cannot read as text: take it out");
            }
            spelt.push_back(letter->second);
        }
    }
    return spelt;
}

size_t text_translator::group_end(const std::vector<token_list> & sources, size_t begin, int32_t n_max) const {
    const size_t most = std::clamp(SHARED_CELLS / n_max, 1, MAX_TEXTS);
    size_t n_rows = sources[begin].size();
    size_t end = begin + 1;
    while (end < sources.size() && end - begin < most && n_rows + sources[end].size() <= size_t(SHARED_ROWS)) {
        n_rows += sources[end++].size();
    }
    return end;
}

void text_translator::encode(const std::vector<token_list> & sources, size_t begin, size_t end) {
    batch_.n_tokens = 0;
    for (size_t text = begin; text < end; ++text) {
        for (size_t i = 0; i < sources[text].size(); ++i) add_row(sources[text][i], llama_pos(i), llama_seq_id(text - begin));
    }
    compute(llama_encode, "llama_encode");
}

void text_translator::decode(std::vector<translation> & results, size_t begin, size_t end, int32_t n_max) {
    const int32_t n_vocab = weights_->n_vocab();
    std::vector<size_t> open;
    for (size_t text = begin; text < end; ++text) open.push_back(text);
    for (int32_t step = 0; step < n_max && !open.empty(); ++step) {
        batch_.n_tokens = 0;
        for (size_t text : open) add_row(step == 0 ? start_ : results[text].tokens.back(), step, llama_seq_id(text - begin));
        compute(llama_decode, "llama_decode");
        std::vector<size_t> still_open;
        for (size_t row = 0; row < open.size(); ++row) {
            const float * logits = llama_get_logits_ith(context_.get(), int32_t(row));
            if (logits == nullptr) throw failure("E_LLAMA", "llama.cpp gave no logits");
            const llama_token token = arg_max(logits, n_vocab);
            const distribution next(logits, n_vocab);
            if (token < 0 || !next.is_finite()) {
                throw failure("E_NOT_FINITE", "the translator's logits are not finite: its weights are broken, or too large for the file's "
                    "number type");
            }
            auto & result = results[open[row]];
            result.log_probability += next.log_probability(token);
            result.is_truncated = !llama_vocab_is_eog(weights_->vocab(), token);
            if (!result.is_truncated) continue;
            result.tokens.push_back(token);
            still_open.push_back(open[row]);
        }
        open = std::move(still_open);
    }
    for (size_t text = begin; text < end; ++text) results[text].text = weights_->detokenise(results[text].tokens);
}

void text_translator::add_row(llama_token token, llama_pos position, llama_seq_id sequence) {
    const int32_t row = batch_.n_tokens++;
    batch_.token[row]     = token;
    batch_.pos[row]       = position;
    batch_.n_seq_id[row]  = 1;
    batch_.seq_id[row][0] = sequence;
    batch_.logits[row]    = true;
}

void text_translator::compute(int32_t (*function)(llama_context *, llama_batch), const char * name) {
    log_sink log;
    int32_t status = 2;
    try {
        // GPUs do not check for an abort within a graph.
        if (!is_aborted()) {
            status = function(context_.get(), batch_);
            llama_synchronize(context_.get());
        }
    } catch (const std::exception & error) {
        throw failure("E_LLAMA", log.explain(std::string(name) + " failed: " + error.what()));
    } catch (...) {
        throw failure("E_LLAMA", log.explain(std::string(name) + " failed: " + UNREADABLE_ERROR));
    }
    if (status == 2) throw failure("E_ABORTED", "the work was stopped before its end", status);
    if (status != 0) throw failure("E_LLAMA", log.explain(std::string(name) + " returned " + std::to_string(status)), status);
}
