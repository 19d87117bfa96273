#include "engine/distribution.h"

#include "engine/per_processor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>

namespace {

constexpr int LANES = 16;
// Floats are summed in blocks of this many before they are added to a double: the error stays near 1e-7.
constexpr int BLOCK = 64 * LANES;

// exp(x) for x <= 0 to about 2 units in the last place; below -87 it is taken at -87. Branch-free, so that it vectorises.
inline float exp_of_negative(float x) {
    constexpr float LOG2_E = 1.44269504f;
    constexpr float LN2_HIGH = 0.693145752f; // few enough bits that n * LN2_HIGH is exact
    constexpr float LN2_LOW = 1.42860677e-6f;
    constexpr float ROUNDING = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * LOG2_E + ROUNDING;
    const float n = shifted - ROUNDING;
    const float r = (x - n * LN2_HIGH) - n * LN2_LOW; // |r| <= ln2 / 2
    // Taylor's series of exp(r) to the seventh power.
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    // Times 2^n, by adding n to the exponent.
    uint32_t exponent;
    std::memcpy(&exponent, &shifted, sizeof(exponent));
    uint32_t bits;
    std::memcpy(&bits, &sum, sizeof(bits));
    bits += exponent << 23;
    float result;
    std::memcpy(&result, &bits, sizeof(result));
    return result;
}

// The largest value; NaN when any value is NaN, and for an infinite one: no distribution has these logits.
PER_PROCESSOR float find_largest(const float * values, int32_t n) {
    float   lanes[LANES];
    int32_t not_numbers[LANES] = {};
    for (float & lane : lanes) lane = values[0];
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; ++l) {
            lanes[l] = values[i + l] > lanes[l] ? values[i + l] : lanes[l];
            not_numbers[l] |= values[i + l] != values[i + l];
        }
    }
    float largest     = *std::max_element(lanes, lanes + LANES);
    bool  all_numbers = std::all_of(not_numbers, not_numbers + LANES, [](int32_t flag) { return flag == 0; });
    for (; i < n; ++i) {
        largest = values[i] > largest ? values[i] : largest;
        all_numbers = all_numbers && values[i] == values[i];
    }
    return all_numbers && std::isfinite(largest) ? largest : std::numeric_limits<float>::quiet_NaN();
}

// Sum of exp(values - largest).
PER_PROCESSOR double sum_of_exp(const float * values, int32_t n, float largest) {
    double total = 0;
    int32_t i = 0;
    while (i + LANES <= n) {
        float lanes[LANES] = {};
        const int32_t end = std::min(n - LANES, i + BLOCK - LANES);
        for (; i <= end; i += LANES) {
            for (int l = 0; l < LANES; ++l) lanes[l] += exp_of_negative(values[i + l] - largest);
        }
        for (float lane : lanes) total += lane;
    }
    for (; i < n; ++i) total += exp_of_negative(values[i] - largest);
    return total;
}

} // namespace

distribution::distribution(const float * logits, int32_t n_vocab)
    : logits_(logits), n_vocab_(n_vocab), largest_(find_largest(logits, n_vocab)),
      log_normaliser_(largest_ + std::log(sum_of_exp(logits, n_vocab, largest_))) {}

std::vector<int32_t> distribution::top_p_set(double top_p) const {
    if (top_p >= 1) {
        std::vector<int32_t> all(n_vocab_);
        std::iota(all.begin(), all.end(), 0);
        return all;
    }
    // Candidates are the tokens within `reach` of the largest logit; widened until they hold enough probability.
    for (float reach = 4.0f;; reach *= 2) {
        const bool everything = reach > 1000.0f;
        std::vector<int32_t> candidates;
        const float floor = largest_ - reach;
        for (int32_t i = 0; i < n_vocab_; ++i) {
            if (everything || logits_[i] >= floor) candidates.push_back(i);
        }
        std::sort(candidates.begin(), candidates.end(), [this](int32_t a, int32_t b) {
            return logits_[a] != logits_[b] ? logits_[a] > logits_[b] : a < b;
        });
        double total = 0;
        size_t kept  = 0;
        while (kept < candidates.size() && !(total > top_p)) total += std::exp(log_probability(candidates[kept++]));
        if (!(total > top_p) && !everything) continue;
        candidates.resize(kept);
        std::sort(candidates.begin(), candidates.end());
        return candidates;
    }
}

double top_p_divergence(const distribution & p, const distribution & s, double top_p, kl_reduction reduction) {
    if (!p.is_finite() || !s.is_finite()) return std::numeric_limits<double>::quiet_NaN();
    const auto p_set = p.top_p_set(top_p);
    const auto s_set = s.top_p_set(top_p);
    std::vector<int32_t> q;
    std::set_union(p_set.begin(), p_set.end(), s_set.begin(), s_set.end(), std::back_inserter(q));

    double p_mass = 0;
    double s_mass = 0;
    for (int32_t token : q) {
        p_mass += std::exp(p.log_probability(token));
        s_mass += std::exp(s.log_probability(token));
    }
    double kl = 0;
    for (int32_t token : q) {
        const double log_p = p.log_probability(token) - std::log(p_mass);
        const double log_s = s.log_probability(token) - std::log(s_mass);
        const double weight = std::exp(log_p);
        if (weight > 0) kl += weight * (log_p - log_s);
    }
    return reduction == kl_reduction::mean ? kl / double(q.size()) : kl;
}

int32_t arg_max(const float * logits, int32_t n_vocab) {
    const float largest = find_largest(logits, n_vocab);
    if (std::isnan(largest)) return -1;
    return int32_t(std::find(logits, logits + n_vocab, largest) - logits);
}
