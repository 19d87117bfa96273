#include "engine/text_classifier.h"

#include "engine/cpu_backend.h"
#include "engine/failure.h"
#include "engine/log_sink.h"

#include <algorithm>

namespace {

// Rows of one batch. A text must fit into one, because every token attends to all others.
constexpr int32_t MAX_ROWS = 512;
// Several texts share a batch of at most this many rows: llama.cpp reserves memory for the logits of every row, 1 MB each with XLM-R's
// vocabulary, although none are computed.
constexpr int32_t SHARED_ROWS = 96;
constexpr int32_t MAX_TEXTS = 32;

} // namespace

text_classifier::text_classifier(std::shared_ptr<llama_weights> weights, int32_t n_threads)
    : weights_(std::move(weights)), n_labels_(int32_t(llama_model_n_cls_out(weights_->model()))) {
    if (!weights_->has_classification_head()) throw failure("E_BAD_GGUF", "the model has no classification head");
    // The head reads the first position. An XLM-R converted without tokenizer.json would read texts without their <s>.
    if (!llama_vocab_get_add_bos(weights_->vocab())) {
        throw failure("E_BAD_GGUF", "the file adds no BOS token (tokenizer.ggml.add_bos_token), which the classification head reads: "
            "convert it again from a folder that has tokenizer.json");
    }
    check_threads(n_threads);
    log_sink log;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = params.n_outputs_max = MAX_ROWS;
    params.n_seq_max       = MAX_TEXTS;
    params.n_threads       = n_threads;
    params.n_threads_batch = n_threads;
    params.embeddings      = true;
    params.pooling_type    = LLAMA_POOLING_TYPE_RANK;
    params.kv_unified      = true;
    params.no_perf         = true;
    context_.reset(llama_init_from_model(weights_->model(), params));
    if (!context_) throw failure("E_LLAMA", log.explain("llama.cpp could not create a context"));
    if (llama_get_memory(context_.get()) != nullptr) throw failure("E_BAD_GGUF", "the model has a KV cache, so it is not an encoder");
    batch_ = llama_batch_init(MAX_ROWS, 0, 1);
}

void text_classifier::set_threads(int32_t n_threads) {
    check_threads(n_threads);
    llama_set_n_threads(context_.get(), n_threads, n_threads);
}

std::vector<float> text_classifier::classify(const std::vector<std::string> & texts) {
    const int32_t longest = std::min(MAX_ROWS, llama_model_n_ctx_train(weights_->model()));
    std::vector<std::vector<llama_token>> tokens;
    for (const auto & text : texts) {
        tokens.push_back(weights_->tokenise(text, true, false));
        const std::string which = "text " + std::to_string(tokens.size() - 1);
        if (tokens.back().empty()) throw failure("E_BAD_ARGUMENT", which + " is empty");
        if (int32_t(tokens.back().size()) > longest) {
            throw failure("E_CONTEXT_FULL", which + " has " + std::to_string(tokens.back().size()) + " tokens; the classifier takes "
                + std::to_string(longest) + ": shorten or split it");
        }
    }
    std::vector<float> logits;
    for (size_t begin = 0; begin < texts.size();) {
        const size_t end = fill(tokens, begin);
        log_sink log;
        const int32_t status = llama_encode(context_.get(), batch_);
        if (status != 0) throw failure("E_LLAMA", log.explain("llama.cpp could not compute the classifier"), status);
        for (size_t text = begin; text < end; ++text) {
            const float * scores = llama_get_embeddings_seq(context_.get(), llama_seq_id(text - begin));
            if (scores == nullptr) throw failure("E_LLAMA", "llama.cpp gave no scores");
            logits.insert(logits.end(), scores, scores + n_labels_);
        }
        begin = end;
    }
    return logits;
}

size_t text_classifier::fill(const std::vector<std::vector<llama_token>> & texts, size_t begin) {
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
