#pragma once
#include "engine/llama_weights.h"
#include "llama.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

struct sampler_options {
    float       temperature       = 0; // 0 = the likeliest token
    float       top_n_sigma       = 0; // 0 = off
    int32_t     top_k             = 0; // 0 = off
    float       typical_p         = 1; // 1 = off
    float       top_p             = 1; // 1 = off
    float       min_p             = 0; // 0 = off
    float       xtc_probability   = 0; // 0 = off
    float       xtc_threshold     = 0;
    float       repeat_penalty    = 1; // 1 = off
    float       presence_penalty  = 0; // 0 = off
    float       frequency_penalty = 0; // 0 = off
    int32_t     repeat_last_n     = 64;
    dry_options dry;
    std::vector<llama_token> history; // tokens before the first one, which the penalties count as well
    uint32_t    seed              = 0;
    std::vector<llama_logit_bias> logit_bias;
};

// How one generation picks its tokens: llama.cpp's sampler chain, with the state of that generation.
class token_sampler : counted<token_sampler> {
public:
    using counted<token_sampler>::alive;

    // Throws E_BAD_TOKEN.
    token_sampler(std::shared_ptr<const llama_weights> weights, const sampler_options & options);

    uint64_t model_id() const { return weights_->id(); }

    // Picks a token and records it; -1 when the logits are not finite or no token is allowed.
    // allowed: one bit per token, 32 to a word; empty = all.
    llama_token sample(const float * logits, const std::vector<int32_t> & allowed);
    // Records a given token instead of the one that it picks, so that the next call picks as if it had picked that one itself.
    void take(const float * logits, const std::vector<int32_t> & allowed, llama_token given);
    // Picks a token without recording it: the next call still picks as if this one had not been made.
    llama_token peek(const float * logits, const std::vector<int32_t> & allowed);

private:
    llama_token pick(llama_sampler * chain, const float * logits, const std::vector<int32_t> & allowed);

    const std::shared_ptr<const llama_weights>                    weights_;
    const int32_t                                                 n_vocab_;
    std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)> chain_;
    std::vector<llama_token_data>                                 candidates_;
    std::mutex                                                    mutex_;
};
