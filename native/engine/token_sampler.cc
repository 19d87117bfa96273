#include "engine/token_sampler.h"

#include "engine/distribution.h"
#include "engine/failure.h"

#include <algorithm>
#include <cmath>

token_sampler::token_sampler(std::shared_ptr<const llama_weights> weights, const sampler_options & options)
    : weights_(std::move(weights)), n_vocab_(weights_->n_vocab()), chain_(nullptr, llama_sampler_free) {
    for (const auto & bias : options.logit_bias) {
        if (bias.token < 0 || bias.token >= n_vocab_) {
            throw failure("E_BAD_TOKEN", "logitBias names token " + std::to_string(bias.token) + "; the vocabulary has "
                + std::to_string(n_vocab_));
        }
    }
    if (options.temperature == 0 && options.repeat_penalty == 1 && options.logit_bias.empty()) return;

    auto params = llama_sampler_chain_default_params();
    params.no_perf = true;
    chain_.reset(llama_sampler_chain_init(params));
    const auto add = [&](llama_sampler * sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
    if (!options.logit_bias.empty()) {
        add(llama_sampler_init_logit_bias(n_vocab_, int32_t(options.logit_bias.size()), options.logit_bias.data()));
    }
    if (options.repeat_penalty != 1) {
        llama_sampler * penalties = llama_sampler_init_penalties(n_vocab_, options.repeat_last_n, options.repeat_penalty, 0, 0);
        for (llama_token token : options.history) llama_sampler_accept(penalties, token);
        add(penalties);
    }
    if (options.temperature == 0) {
        add(llama_sampler_init_greedy());
        return;
    }
    if (options.top_k > 0) add(llama_sampler_init_top_k(options.top_k));
    if (options.top_p < 1) add(llama_sampler_init_top_p(options.top_p, 1));
    if (options.min_p > 0) add(llama_sampler_init_min_p(options.min_p, 1));
    add(llama_sampler_init_temp(options.temperature));
    add(llama_sampler_init_dist(options.seed));
}

llama_token token_sampler::sample(const float * logits) {
    const llama_token likeliest = arg_max(logits, n_vocab_); // -1 for logits that do not form a distribution
    if (!chain_ || likeliest < 0) return likeliest;
    const std::lock_guard<std::mutex> lock(mutex_);
    candidates_.resize(n_vocab_);
    for (llama_token token = 0; token < n_vocab_; ++token) candidates_[token] = {token, logits[token], 0.0f};
    llama_token_data_array array{candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(chain_.get(), &array);
    if (array.selected < 0 || size_t(array.selected) >= array.size || !std::isfinite(array.data[array.selected].logit)) return -1;
    const llama_token token = array.data[array.selected].id;
    llama_sampler_accept(chain_.get(), token);
    return token;
}
