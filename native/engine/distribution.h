#pragma once
#include <cstdint>
#include <vector>

// How the KL divergence over the top-p set is reduced (REFERENCE §4).
enum class kl_reduction {
    mean, // divided by the size of the set, as the published code does
    sum,  // the formula of the paper
};

// log-softmax normaliser of `logits` [n_vocab]: log sum exp, in double.
double log_sum_exp(const float * logits, int32_t n_vocab);

// Token ids (ascending) of the fewest most likely tokens whose total probability exceeds top_p;
// the one that crosses is kept. Equal logits rank by token id. No sort of the whole vocabulary.
std::vector<int32_t> top_p_set(const float * logits, int32_t n_vocab, double log_normaliser, double top_p);

struct divergence {
    double  kl;       // nats, reduced
    int32_t set_size; // |Q|
};

// KL(P || S) over Q = topP(P) ∪ topP(S), both renormalised over Q (REFERENCE §4, Dyn).
divergence top_p_divergence(const float * p_logits, const float * s_logits, int32_t n_vocab, double top_p, kl_reduction reduction);

// The likeliest token; the lowest id among equals.
int32_t arg_max(const float * logits, int32_t n_vocab);
