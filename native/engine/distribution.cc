#include "engine/distribution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace {

// Logits this far below the largest weigh less than 1e-13 each.
constexpr float NEGLIGIBLE = 30.0f;

// The set is found from a histogram of "logits below the largest", so that only one bucket is ever sorted.
constexpr int   N_BUCKETS         = 256;
constexpr float BUCKETS_PER_LOGIT = N_BUCKETS / NEGLIGIBLE;

int bucket_of(float below) {
    return std::min(N_BUCKETS - 1, int(below * BUCKETS_PER_LOGIT));
}

float max_logit(const float * logits, int32_t n_vocab) {
    float largest = logits[0];
    for (int32_t i = 1; i < n_vocab; ++i) largest = logits[i] > largest ? logits[i] : largest;
    return largest;
}

} // namespace

double log_sum_exp(const float * logits, int32_t n_vocab) {
    const float largest = max_logit(logits, n_vocab);
    double sum = 0;
    for (int32_t i = 0; i < n_vocab; ++i) {
        const float below = largest - logits[i];
        // Written so that NaN is added rather than skipped: the caller must see it.
        if (!(below > NEGLIGIBLE)) sum += std::exp(-below);
    }
    return largest + std::log(sum);
}

std::vector<int32_t> top_p_set(const float * logits, int32_t n_vocab, double log_normaliser, double top_p) {
    const float largest = max_logit(logits, n_vocab);
    std::array<double, N_BUCKETS> mass{};
    for (int32_t i = 0; i < n_vocab; ++i) {
        const float below = largest - logits[i];
        if (below <= NEGLIGIBLE) mass[bucket_of(below)] += std::exp(double(logits[i]) - log_normaliser);
    }
    double total    = 0;
    int    crossing = 0;
    while (crossing < N_BUCKETS - 1 && total + mass[crossing] <= top_p) total += mass[crossing++];

    std::vector<int32_t> inside;
    std::vector<int32_t> candidates;
    for (int32_t i = 0; i < n_vocab; ++i) {
        const float below = largest - logits[i];
        if (!(below <= NEGLIGIBLE)) continue;
        const int bucket = bucket_of(below);
        if (bucket < crossing) inside.push_back(i);
        if (bucket == crossing) candidates.push_back(i);
    }
    std::sort(candidates.begin(), candidates.end(), [&](int32_t a, int32_t b) {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
    for (int32_t token : candidates) {
        if (total > top_p) break;
        total += std::exp(double(logits[token]) - log_normaliser);
        inside.push_back(token);
    }
    std::sort(inside.begin(), inside.end());
    return inside;
}

divergence top_p_divergence(const float * p_logits, const float * s_logits, int32_t n_vocab, double top_p, kl_reduction reduction) {
    const double p_normaliser = log_sum_exp(p_logits, n_vocab);
    const double s_normaliser = log_sum_exp(s_logits, n_vocab);
    const auto   p_set        = top_p_set(p_logits, n_vocab, p_normaliser, top_p);
    const auto   s_set        = top_p_set(s_logits, n_vocab, s_normaliser, top_p);
    std::vector<int32_t> q;
    std::set_union(p_set.begin(), p_set.end(), s_set.begin(), s_set.end(), std::back_inserter(q));

    double p_mass = 0;
    double s_mass = 0;
    for (int32_t token : q) {
        p_mass += std::exp(p_logits[token] - p_normaliser);
        s_mass += std::exp(s_logits[token] - s_normaliser);
    }
    const double p_log_norm = p_normaliser + std::log(p_mass);
    const double s_log_norm = s_normaliser + std::log(s_mass);
    double kl = 0;
    for (int32_t token : q) {
        const double log_p = p_logits[token] - p_log_norm;
        const double log_s = s_logits[token] - s_log_norm;
        kl += std::exp(log_p) * (log_p - log_s);
    }
    if (reduction == kl_reduction::mean) kl /= double(q.size());
    return {kl, int32_t(q.size())};
}

int32_t arg_max(const float * logits, int32_t n_vocab) {
    return int32_t(std::max_element(logits, logits + n_vocab) - logits);
}
