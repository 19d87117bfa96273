#include "engine/pooled_texts.h"

#include "engine/cpu_backend.h"
#include "engine/failure.h"
#include "engine/log_sink.h"

#include <algorithm>

namespace {

// Rows of one batch. A text must fit into one, because in an encoder every token attends to all others.
constexpr int32_t MAX_ROWS = 512;
// Several texts share a batch of at most this many rows: llama.cpp reserves memory for the logits of every row, 1 MB each with XLM-R's
// vocabulary, although none are computed.
constexpr int32_t SHARED_ROWS = 96;
constexpr int32_t MAX_TEXTS = 32;

} // namespace

pooled_texts::pooled_texts(std::shared_ptr<llama_weights> weights, int32_t n_threads, enum llama_pooling_type pooling, std::string what)
    : weights_(std::move(weights)), what_(std::move(what)) {
    check_threads(n_threads);
    log_sink log;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = params.n_outputs_max = MAX_ROWS;
    params.n_seq_max       = MAX_TEXTS;
    params.n_threads       = n_threads;
    params.n_threads_batch = n_threads;
    params.embeddings      = true;
    params.pooling_type    = pooling;
    params.kv_unified      = true;
    params.no_perf         = true;
    context_.reset(llama_init_from_model(weights_->model(), params));
    if (!context_) throw failure("E_LLAMA", log.explain("llama.cpp could not create a context"));
    batch_ = llama_batch_init(MAX_ROWS, 0, 1);
}

void pooled_texts::set_threads(int32_t n_threads) {
    check_threads(n_threads);
    llama_set_n_threads(context_.get(), n_threads, n_threads);
}

std::vector<float> pooled_texts::compute(const std::vector<std::string> & texts, int32_t width) {
    const int32_t longest = std::min(MAX_ROWS, llama_model_n_ctx_train(weights_->model()));
    std::vector<std::vector<llama_token>> tokens;
    for (const auto & text : texts) {
        tokens.push_back(weights_->tokenise(text, true, false));
        const std::string which = "text " + std::to_string(tokens.size() - 1);
        if (tokens.back().empty()) throw failure("E_BAD_ARGUMENT", which + " is empty");
        if (int32_t(tokens.back().size()) > longest) {
            throw failure("E_CONTEXT_FULL", which + " has " + std::to_string(tokens.back().size()) + " tokens; the " + what_ + " takes "
                + std::to_string(longest) + ": shorten or split it");
        }
    }
    std::vector<float> vectors;
    for (size_t begin = 0; begin < texts.size();) {
        const size_t end = fill(tokens, begin);
        log_sink log;
        const auto memory = llama_get_memory(context_.get());
        if (memory != nullptr) llama_memory_clear(memory, false);
        const int32_t status = memory == nullptr ? llama_encode(context_.get(), batch_) : llama_decode(context_.get(), batch_);
        if (status != 0) throw failure("E_LLAMA", log.explain("llama.cpp could not compute the " + what_), status);
        for (size_t text = begin; text < end; ++text) {
            const float * pooled = llama_get_embeddings_seq(context_.get(), llama_seq_id(text - begin));
            if (pooled == nullptr) throw failure("E_LLAMA", "llama.cpp pooled nothing for a text");
            vectors.insert(vectors.end(), pooled, pooled + width);
        }
        begin = end;
    }
    return vectors;
}

size_t pooled_texts::fill(const std::vector<std::vector<llama_token>> & texts, size_t begin) {
    batch_.n_tokens = 0;
    size_t end = begin;
    const auto fits = [&](const std::vector<llama_token> & text) { return end == begin || batch_.n_tokens + text.size() <= SHARED_ROWS; };
    for (; end < texts.size() && end - begin < MAX_TEXTS && fits(texts[end]); ++end) {
        for (size_t i = 0; i < texts[end].size(); ++i) {
            const int32_t row = batch_.n_tokens++;
            batch_.token[row]     = texts[end][i];
            batch_.pos[row]       = llama_pos(i);
            batch_.n_seq_id[row]  = 1;
            batch_.seq_id[row][0] = llama_seq_id(end - begin);
            batch_.logits[row]    = true;
        }
    }
    return end;
}
