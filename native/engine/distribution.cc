#include "engine/distribution.h"

#include "engine/per_processor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

namespace {

constexpr int LANES = 16;
// Number of logits of which the largest is kept.
constexpr int BLOCK = 4 * LANES;
// Floats are summed in runs of this many before they are added to a double: the error stays near 1e-7.
constexpr int RUN = 64 * LANES;

// exp(x) for x <= 0, accurate to about 2 units in the last place; clamped below -87. Branch-free, so that it vectorises.
inline float exp_of_negative(float x) {
    constexpr float LOG2_E = 1.44269504f;
    constexpr float LN2_HIGH = 0.693145752f; // few enough bits that n * LN2_HIGH is exact
    constexpr float LN2_LOW = 1.42860677e-6f;
    constexpr float ROUNDING = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
    // The magnitude of a negative float grows with its bits, so the smaller bits are the number nearer to 0. Comparing floats, which may
    // trap, would take a branch.
    constexpr uint32_t LEAST = 0xc2ae0000; // -87
    uint32_t x_bits;
    std::memcpy(&x_bits, &x, sizeof(x_bits));
    x_bits = x_bits < LEAST ? x_bits : LEAST;
    std::memcpy(&x, &x_bits, sizeof(x));
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

// The largest of n values; NaN where one of them is NaN.
inline float find_largest(const float * values, int32_t n) {
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
    for (; i < n; ++i) {
        lanes[0] = values[i] > lanes[0] ? values[i] : lanes[0];
        not_numbers[0] |= values[i] != values[i];
    }
    bool all_numbers = true; // no lambda: Clang does not compile one that only a function with clones calls
    for (int32_t flag : not_numbers) all_numbers = all_numbers && flag == 0;
    return all_numbers ? *std::max_element(lanes, lanes + LANES) : std::numeric_limits<float>::quiet_NaN();
}

// The largest value of every BLOCK of n values, NaN where one of its values is NaN.
PER_PROCESSOR void find_block_largest(const float * values, int32_t n, float * largest) {
    for (int32_t i = 0; i < n; i += BLOCK) *largest++ = find_largest(values + i, std::min(BLOCK, n - i));
}

// Sum of exp(values - largest), for at most RUN values.
PER_PROCESSOR double sum_of_exp(const float * values, int32_t n, float largest) {
    float exps[RUN]; // a separate loop, so that it vectorises
    for (int32_t i = 0; i < n; ++i) exps[i] = exp_of_negative(values[i] - largest);
    float lanes[LANES] = {};
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; ++l) lanes[l] += exps[i + l];
    }
    for (; i < n; ++i) lanes[0] += exps[i];
    double total = 0;
    for (float lane : lanes) total += lane;
    return total;
}

// Sum of exp(p) * (p - s) for at most RUN logits, each relative to its largest. Logits of -infinity count as very small ones, so that a
// token which neither distribution allows adds nothing.
PER_PROCESSOR double sum_of_weighted(const float * p, const float * s, int32_t n, float largest_p, float largest_s) {
    constexpr float LEAST = -1000.0f;
    float products[RUN]; // a separate loop, so that it vectorises
    for (int32_t i = 0; i < n; ++i) {
        const float own   = p[i] - largest_p > LEAST ? p[i] - largest_p : LEAST;
        const float other = s[i] - largest_s > LEAST ? s[i] - largest_s : LEAST;
        products[i] = exp_of_negative(own) * (own - other);
    }
    float lanes[LANES] = {};
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; ++l) lanes[l] += products[i + l];
    }
    double total = 0;
    for (; i < n; ++i) total += products[i];
    for (float lane : lanes) total += lane;
    return total;
}

// Adds share * (strong - baseline) to n logits.
PER_PROCESSOR void add_share(const float * strong, const float * baseline, float share, int32_t n, float * logits) {
    for (int32_t i = 0; i < n; ++i) logits[i] += share * (strong[i] - baseline[i]);
}

// The largest value of all blocks; NaN if any is NaN or the largest is infinite, since no distribution has such logits.
float largest_of(const std::vector<float> & block_largest) {
    float largest = block_largest.front();
    for (float value : block_largest) {
        if (std::isnan(value)) return value;
        largest = std::max(largest, value);
    }
    return std::isfinite(largest) ? largest : std::numeric_limits<float>::quiet_NaN();
}

// Log probabilities renormalised over these tokens; exactly 0 for a single one.
std::vector<double> renormalised(const distribution & from, const std::vector<int32_t> & tokens) {
    std::vector<double> result;
    for (int32_t token : tokens) result.push_back(from.log_probability(token));
    const double largest = *std::max_element(result.begin(), result.end());
    double mass = 0;
    for (double value : result) mass += std::exp(value - largest);
    for (double & value : result) value -= largest + std::log(mass);
    return result;
}

} // namespace

distribution::distribution(const float * logits, int32_t n_vocab)
    : logits_(logits), n_vocab_(n_vocab), block_largest_(size_t(n_vocab + BLOCK - 1) / BLOCK),
      largest_(-std::numeric_limits<float>::infinity()) {
    // One pass over memory: each run's sum is taken relative to the largest logit so far.
    double total = 0;
    for (int32_t begin = 0; begin < n_vocab; begin += RUN) {
        const int32_t n      = std::min(RUN, n_vocab - begin);
        float *       blocks = block_largest_.data() + begin / BLOCK;
        find_block_largest(logits + begin, n, blocks);
        const float largest = *std::max_element(blocks, blocks + (n + BLOCK - 1) / BLOCK);
        if (largest > largest_) {
            total *= std::exp(double(largest_) - largest);
            largest_ = largest;
        }
        if (std::isfinite(largest_)) total += sum_of_exp(logits + begin, n, largest_);
    }
    largest_        = largest_of(block_largest_);
    log_normaliser_ = largest_ + std::log(total);
}

std::vector<distribution::candidate> distribution::candidates_from(float least) const {
    std::vector<candidate> candidates;
    for (size_t block = 0; block < block_largest_.size(); ++block) {
        if (block_largest_[block] < least) continue;
        const int32_t begin = int32_t(block) * BLOCK;
        for (int32_t i = begin; i < std::min(n_vocab_, begin + BLOCK); ++i) {
            if (logits_[i] >= least) candidates.push_back({logits_[i], i});
        }
    }
    return candidates;
}

double distribution::mass(const std::vector<candidate> & candidates) const {
    std::vector<float> logits(candidates.size());
    std::transform(candidates.begin(), candidates.end(), logits.begin(), [](const candidate & c) { return c.logit; });
    double sum = 0;
    for (size_t i = 0; i < logits.size(); i += RUN) {
        sum += sum_of_exp(logits.data() + i, int32_t(std::min(size_t(RUN), logits.size() - i)), largest_);
    }
    return sum * std::exp(largest_ - log_normaliser_);
}

std::vector<int32_t> distribution::top_p_set(double top_p) const {
    std::vector<int32_t> tokens;
    // Candidates are the tokens within `reach` of the largest logit, which widens until they hold enough probability.
    std::vector<candidate> candidates;
    for (float reach = 4.0f; reach < 1000.0f; reach *= 1.5f) {
        candidates = candidates_from(largest_ - reach);
        if (mass(candidates) > top_p + 1e-6) break;
    }
    // A heap yields the likeliest one by one and never sorts what is not needed.
    const auto is_less_likely = [](const candidate & a, const candidate & b) {
        return a.logit != b.logit ? a.logit < b.logit : a.token > b.token;
    };
    std::make_heap(candidates.begin(), candidates.end(), is_less_likely);
    double total = 0;
    while (!candidates.empty() && !(total > top_p)) {
        std::pop_heap(candidates.begin(), candidates.end(), is_less_likely);
        tokens.push_back(candidates.back().token);
        total += std::exp(log_probability(candidates.back().token));
        candidates.pop_back();
    }
    std::sort(tokens.begin(), tokens.end());
    return tokens;
}

double distribution::divergence_from(const distribution & s) const {
    double total = 0;
    for (int32_t i = 0; i < n_vocab_; i += RUN) {
        total += sum_of_weighted(logits_ + i, s.logits_ + i, std::min(RUN, n_vocab_ - i), largest_, s.largest_);
    }
    // KL = sum P (p - s) - (log normaliser of P - that of S), with p and s relative to their largest logits.
    const double kl = total * std::exp(largest_ - log_normaliser_) - ((log_normaliser_ - largest_) - (s.log_normaliser_ - s.largest_));
    return kl < 0 ? 0 : kl; // rounding, where both agree
}

double top_p_divergence(const distribution & p, const distribution & s, double top_p, kl_reduction reduction) {
    if (!p.is_finite() || !s.is_finite()) return std::numeric_limits<double>::quiet_NaN();
    if (top_p >= 1) return p.divergence_from(s) / (reduction == kl_reduction::mean ? p.n_vocab() : 1);
    const auto p_set = p.top_p_set(top_p);
    const auto s_set = s.top_p_set(top_p);
    std::vector<int32_t> q;
    std::set_union(p_set.begin(), p_set.end(), s_set.begin(), s_set.end(), std::back_inserter(q));

    const auto log_p = renormalised(p, q);
    const auto log_s = renormalised(s, q);
    double kl = 0;
    for (size_t i = 0; i < q.size(); ++i) {
        const double weight = std::exp(log_p[i]);
        if (weight > 0) kl += weight * (log_p[i] - log_s[i]);
    }
    if (kl < 0) kl = 0; // rounding, where both agree
    return reduction == kl_reduction::mean ? kl / double(q.size()) : kl;
}

int32_t arg_max(const float * logits, int32_t n_vocab) {
    std::vector<float> block_largest(size_t(n_vocab + BLOCK - 1) / BLOCK);
    find_block_largest(logits, n_vocab, block_largest.data());
    const float largest = largest_of(block_largest);
    if (std::isnan(largest)) return -1;
    const auto block = std::find(block_largest.begin(), block_largest.end(), largest) - block_largest.begin();
    return int32_t(std::find(logits + block * BLOCK, logits + n_vocab, largest) - logits);
}

void logit_mixture::write(int32_t begin, int32_t n, float * logits) const {
    std::copy_n(baseline + begin, n, logits);
    for (const auto & [strong, share] : parts) add_share(strong + begin, baseline + begin, share, n, logits);
}

int32_t arg_max(const logit_mixture & mixture, int32_t n_vocab) {
    float   logits[RUN]; // the whole mixture is never written
    float   largest = -std::numeric_limits<float>::infinity();
    int32_t token   = -1;
    for (int32_t begin = 0; begin < n_vocab; begin += RUN) {
        const int32_t n = std::min(RUN, n_vocab - begin);
        mixture.write(begin, n, logits);
        float blocks[RUN / BLOCK];
        find_block_largest(logits, n, blocks);
        for (int32_t i = 0; i < (n + BLOCK - 1) / BLOCK; ++i) {
            if (std::isnan(blocks[i])) return -1;
            if (blocks[i] <= largest) continue;
            largest = blocks[i];
            token   = begin + int32_t(std::find(logits + i * BLOCK, logits + n, largest) - logits);
        }
    }
    return std::isfinite(largest) ? token : -1;
}
