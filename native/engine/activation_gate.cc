#include "engine/activation_gate.h"

#include "engine/failure.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

activation_gate::activation_gate(site_place place, std::vector<float> weights, double bias, gate_rule rule, uint64_t model_id)
    : place_(place), weights_(std::move(weights)), bias_(bias), rule_(rule), model_id_(model_id) {
    if (!std::isfinite(bias_) || !std::all_of(weights_.begin(), weights_.end(), [](float x) { return std::isfinite(x); })) {
        throw failure("E_NOT_FINITE", "the gate's probe holds a value that is not finite");
    }
    for (double probability : {rule_.opens, rule_.keeps}) {
        if (!(probability >= 0 && probability <= 1)) throw failure("E_BAD_ARGUMENT", "a gate's probabilities are from 0 to 1");
    }
}

double activation_gate::probability(const std::vector<float> & activation) const {
    double log_odds = bias_;
    for (size_t i = 0; i < weights_.size(); ++i) log_odds += double(weights_[i]) * activation[i];
    return std::isfinite(log_odds) ? 1 / (1 + std::exp(-log_odds)) : std::numeric_limits<double>::quiet_NaN();
}

float activation_gate::value(double probability, bool was_open) const {
    const double limit   = was_open ? rule_.keeps : rule_.opens;
    const bool   is_open = rule_.below ? probability <= limit : probability >= limit;
    if (!is_open) return 0;
    if (!rule_.smooth) return 1;
    return float(rule_.below ? 1 - probability : probability);
}
