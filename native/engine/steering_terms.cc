#include "engine/steering_terms.h"

#include "engine/failure.h"
#include "engine/per_processor.h"

namespace {

PER_PROCESSOR void add_scaled(double * sum, const float * direction, double alpha, int n) {
    for (int i = 0; i < n; ++i) sum[i] += alpha * direction[i];
}

} // namespace

void steering_terms::add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha) {
    if (alpha == 0.0f) return; // the exact unsteered computation
    auto & terms = rows_[row];
    const auto key = std::make_pair(vector->serial(), step);
    const auto found = terms.find(key);
    if (found == terms.end()) {
        terms.emplace(key, term{std::move(vector), step, alpha});
    } else {
        found->second.alpha += alpha;
    }
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

bool steering_terms::accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const {
    const auto found = rows_.find(row);
    if (found == rows_.end()) return false;
    bool any = false;
    for (const auto & [key, term] : found->second) {
        if (term.vector->site() != site) continue;
        const float * direction = as_products ? term.vector->product(layer, term.step) : term.vector->direction(layer, term.step);
        if (direction == nullptr) continue;
        if (int(sum.size()) != (as_products ? term.vector->n_product() : term.vector->width())) {
            throw failure("E_NO_SITE", std::string(hook_site_name(site)) + " of layer " + std::to_string(layer) + " has width "
                + std::to_string(sum.size()) + "; the vector has another");
        }
        add_scaled(sum.data(), direction, term.alpha, int(sum.size()));
        any = true;
    }
    return any;
}
