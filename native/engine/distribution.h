#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

// How the KL divergence over the top-p set is reduced (docs/method.md §4).
enum class kl_reduction {
    mean, // divided by the size of the set, as the published code does
    sum,  // the formula of the paper
};

// The softmax of one row of logits, and the tokens that make up most of it. Keeps no copy of the logits.
class distribution {
public:
    distribution(const float * logits, int32_t n_vocab);

    // False when a logit is NaN or infinite. A logit of -infinity is allowed: that token has probability 0.
    bool is_finite() const { return std::isfinite(log_normaliser_); }

    // log softmax(logits)[token], in nats.
    double log_probability(int32_t token) const { return logits_[token] - log_normaliser_; }

    int32_t n_vocab() const { return n_vocab_; }

    // KL(this || s) in nats over the whole vocabulary, to about 1e-6; both must be finite.
    double divergence_from(const distribution & s) const;

    // Ids (ascending) of the smallest set of most likely tokens whose total probability exceeds top_p, including the one that crosses it.
    // Equal logits rank by token id. Sorts only as much of the vocabulary as the set needs;
    // top_p is below 1.
    std::vector<int32_t> top_p_set(double top_p) const;

private:
    struct candidate {
        float   logit;
        int32_t token;
    };
    // Tokens (ascending) whose logit is at least `least`.
    std::vector<candidate> candidates_from(float least) const;
    // Their total probability.
    double mass(const std::vector<candidate> & candidates) const;

    const float *      logits_;
    int32_t            n_vocab_;
    std::vector<float> block_largest_; // one per 64 logits: most blocks hold no likely token and are skipped
    float              largest_;
    double             log_normaliser_; // log sum exp(logits)
};

// KL(P || S) in nats over Q = topP(P) ∪ topP(S), both renormalised over Q, reduced (docs/method.md §4, Dyn).
// NaN when logits are not finite.
double top_p_divergence(const distribution & p, const distribution & s, double top_p, kl_reduction reduction);

// Logits of a stream that is steered by less than the strong ones are: baseline + sum of share * (strong - baseline).
struct logit_mixture {
    struct part {
        const float * strong;
        float         share;
    };
    const float *     baseline;
    std::vector<part> parts;

    // Writes n of the mixture's logits, from token `begin` on.
    void write(int32_t begin, int32_t n, float * logits) const;
};

// As arg_max(), of the mixture's logits.
int32_t arg_max(const logit_mixture & mixture, int32_t n_vocab);

// The likeliest token, with the lowest id among equals; -1 when the logits are not a distribution.
int32_t arg_max(const float * logits, int32_t n_vocab);
