#include "engine/token_sampler.h"

#include "engine/distribution.h"
#include "engine/failure.h"

#include <algorithm>
#include <cmath>

namespace {

// llama.cpp's typical-p computes 0 · log 0 for a token of probability 0, and then keeps the likeliest tokens instead.
constexpr float SOME_PROBABILITY = 1e-30f;

} // namespace

token_sampler::token_sampler(std::shared_ptr<const llama_weights> weights, const sampler_options & options)
    : weights_(std::move(weights)), n_vocab_(weights_->n_vocab()), chain_(nullptr, llama_sampler_free) {
    for (const auto & bias : options.logit_bias) {
        if (bias.token < 0 || bias.token >= n_vocab_) {
            throw failure("E_BAD_TOKEN", "logitBias names token " + std::to_string(bias.token) + "; the vocabulary has "
                + std::to_string(n_vocab_));
        }
    }
    auto params = llama_sampler_chain_default_params();
    params.no_perf = true;
    chain_.reset(llama_sampler_chain_init(params));
    const auto add = [&](llama_sampler * sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
    if (!options.logit_bias.empty()) {
        add(llama_sampler_init_logit_bias(n_vocab_, int32_t(options.logit_bias.size()), options.logit_bias.data()));
    }
    add(llama_sampler_init_penalties(n_vocab_, options.repeat_last_n, options.repeat_penalty, options.frequency_penalty,
        options.presence_penalty));
    if (options.dry.multiplier > 0) add(weights_->make_dry_sampler(options.dry));
    for (llama_token token : options.history) llama_sampler_accept(chain_.get(), token);

    if (options.top_n_sigma > 0) add(llama_sampler_init_top_n_sigma(options.top_n_sigma));
    if (options.top_k > 0) add(llama_sampler_init_top_k(options.top_k));
    if (options.typical_p < 1) {
        add(llama_sampler_init_min_p(SOME_PROBABILITY, 1));
        add(llama_sampler_init_typical(options.typical_p, 1));
    }
    if (options.top_p < 1) add(llama_sampler_init_top_p(options.top_p, 1));
    if (options.min_p > 0) add(llama_sampler_init_min_p(options.min_p, 1));
    if (options.xtc_probability > 0) {
        add(llama_sampler_init_xtc(options.xtc_probability, options.xtc_threshold, 1, options.seed));
    }
    if (options.temperature == 0) {
        add(llama_sampler_init_greedy());
        return;
    }
    add(llama_sampler_init_temp(options.temperature));
    add(llama_sampler_init_dist(options.seed));
}

llama_token token_sampler::sample(const float * logits, const std::vector<int32_t> & allowed) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const llama_token token = pick(chain_.get(), logits, allowed);
    if (token >= 0) llama_sampler_accept(chain_.get(), token);
    return token;
}

void token_sampler::take(const float * logits, const std::vector<int32_t> & allowed, llama_token given) {
    const std::lock_guard<std::mutex> lock(mutex_);
    pick(chain_.get(), logits, allowed);
    llama_sampler_accept(chain_.get(), given);
}

llama_token token_sampler::peek(const float * logits, const std::vector<int32_t> & allowed) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)> copy(llama_sampler_clone(chain_.get()), llama_sampler_free);
    return pick(copy.get(), logits, allowed);
}

llama_token token_sampler::pick(llama_sampler * chain, const float * logits, const std::vector<int32_t> & allowed) {
    if (arg_max(logits, n_vocab_) < 0) return -1; // they do not form a distribution
    candidates_.clear();
    for (llama_token token = 0; token < n_vocab_; ++token) {
        if (allowed.empty() || (uint32_t(allowed[token / 32]) >> (token % 32)) & 1) candidates_.push_back({token, logits[token], 0.0f});
    }
    if (candidates_.empty()) return -1;
    llama_token_data_array array{candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(chain, &array);
    if (array.selected < 0 || size_t(array.selected) >= array.size || !std::isfinite(array.data[array.selected].logit)) return -1;
    return array.data[array.selected].id;
}
