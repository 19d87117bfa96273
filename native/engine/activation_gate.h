#pragma once
#include "engine/counted.h"
#include "engine/hook_site.h"

#include <cstdint>
#include <vector>

// When a gate opens, and what it does then.
struct gate_rule {
    double opens; // the probability from which on it opens
    double keeps; // the probability to which an open gate stays open
    bool   below; // it opens at `opens` and under it, instead of above
    bool   smooth; // its value is the probability, or with `below` its complement, instead of 1
};

// A probe that decides, from a row's activation at one place, how much of a vector is added to that row in later places of the same
// decode (docs/method.md §4, Gates).
class activation_gate : counted<activation_gate> {
public:
    using counted<activation_gate>::alive;

    // Throws E_NOT_FINITE, E_BAD_ARGUMENT (probabilities outside 0 to 1).
    activation_gate(site_place place, std::vector<float> weights, double bias, gate_rule rule, uint64_t model_id);

    // 1 / (1 + exp(-(weights . activation + bias))), in double; NaN where the activation is not finite.
    double probability(const std::vector<float> & activation) const;
    // What multiplies alpha: 0 while it is shut, and for a probability of NaN.
    float value(double probability, bool was_open) const;

    const site_place & place() const { return place_; }
    int                width() const { return int(weights_.size()); }
    uint64_t           model_id() const { return model_id_; }

private:
    const site_place         place_;
    const std::vector<float> weights_;
    const double             bias_;
    const gate_rule          rule_;
    const uint64_t           model_id_;
};
