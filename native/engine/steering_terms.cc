#include "engine/steering_terms.h"

#include "engine/failure.h"
#include "engine/per_processor.h"

#include <algorithm>

namespace {

PER_PROCESSOR void add_scaled(double * sum, const float * direction, double alpha, int n) {
    for (int i = 0; i < n; ++i) sum[i] += alpha * direction[i];
}

} // namespace

void steering_terms::add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha, int32_t gate) {
    if (gate != NO_GATE && (gate < 0 || size_t(gate) >= gates_.size() || gates_[gate].row != row)) {
        throw failure("E_SHAPE", "a term of row " + std::to_string(row) + " names gate " + std::to_string(gate) + ", which is not read there");
    }
    if (alpha == 0.0f) return; // the exact unsteered computation
    const auto key = std::make_pair(vector->serial(), step);
    auto & term = rows_[row].try_emplace(key, steering_terms::term{std::move(vector), step, {}}).first->second;
    term.parts.push_back({alpha, gate});
}

// The parts of one direction are added first, as those of a replay are, whose alphas have the gates' values in them.
double steering_terms::alpha_of(const term & term) const {
    double sum = 0;
    for (const auto & [alpha, index] : term.parts) {
        if (index == NO_GATE) {
            sum += alpha;
            continue;
        }
        const auto & gate = gates_[index];
        if (!gate.is_read) {
            throw failure("E_NO_SITE", std::string("in this model's graph, ") + hook_site_name(gate.gate->place().first) + " of layer "
                + std::to_string(gate.gate->place().second) + " comes after a vector that its gate decides about");
        }
        sum += float(double(alpha) * gate.value); // 32 bits, like every alpha
    }
    return sum;
}

std::set<std::shared_ptr<const steering_vector>> steering_terms::vectors() const {
    std::set<std::shared_ptr<const steering_vector>> vectors;
    for (const auto & [row, terms] : rows_) {
        for (const auto & [key, term] : terms) vectors.insert(term.vector);
    }
    return vectors;
}

std::map<hook_site, std::set<int>> steering_terms::places() const {
    std::map<hook_site, std::set<int>> places;
    for (const auto & vector : vectors()) places[vector->site()].insert(vector->layers().begin(), vector->layers().end());
    return places;
}

std::vector<int32_t> steering_terms::rows() const {
    std::vector<int32_t> rows;
    for (const auto & [row, terms] : rows_) rows.push_back(row);
    return rows;
}

bool steering_terms::is_read_at(hook_site site, int layer) const {
    return site == hook_site::resid_post && std::any_of(gates_.begin(), gates_.end(), [=](const gate_reading & reading) {
        return reading.gate->place() == site_place(site, layer);
    });
}

bool steering_terms::accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const {
    const auto found = rows_.find(row);
    if (found == rows_.end()) return false;
    bool any = false;
    for (const auto & [key, term] : found->second) {
        if (term.vector->site() != site) continue;
        const float * direction = as_products ? term.vector->product(layer, term.step) : term.vector->direction(layer, term.step);
        const double alpha = direction == nullptr ? 0 : alpha_of(term);
        if (alpha == 0) continue;
        if (int(sum.size()) != (as_products ? term.vector->n_product() : term.vector->width())) {
            throw failure("E_NO_SITE", std::string(hook_site_name(site)) + " of layer " + std::to_string(layer) + " has width "
                + std::to_string(sum.size()) + "; the vector has another");
        }
        add_scaled(sum.data(), direction, alpha, int(sum.size()));
        any = true;
    }
    return any;
}
