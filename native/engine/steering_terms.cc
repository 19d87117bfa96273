#include "engine/steering_terms.h"

#include "engine/failure.h"
#include "engine/per_processor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

PER_PROCESSOR void add_scaled(double * sum, const float * direction, double alpha, int n) {
    for (int i = 0; i < n; ++i) sum[i] += alpha * direction[i];
}

double product(const double * x, const float * direction, int n) {
    return std::inner_product(x, x + n, direction, 0.0, std::plus<>(), [](double a, float b) { return a * double(b); });
}

double squared_norm(const float * x, size_t n) {
    return std::accumulate(x, x + n, 0.0, [](double sum, float value) { return sum + double(value) * value; });
}

double squared_norm(const std::vector<double> & x) {
    return std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
}

// The component along a direction that an operator makes of the one that is there; `reach`: alpha times the direction's norm.
double changed(steering_operator kind, double component, double alpha, double reach) {
    switch (kind) {
        case steering_operator::ablate:  return (1 - alpha) * component;
        case steering_operator::project: return alpha > 0 ? std::max(component, reach) : std::min(component, reach);
        case steering_operator::clamp:   return std::clamp(component, -std::abs(reach), std::abs(reach));
        case steering_operator::add:     break;
    }
    return component + reach;
}

void check_width(hook_site site, int layer, size_t found, int expected) {
    if (found == size_t(expected)) return;
    throw failure("E_NO_SITE", std::string(hook_site_name(site)) + " of layer " + std::to_string(layer) + " has width "
        + std::to_string(found) + "; the vector has another");
}

} // namespace

void steering_terms::add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha, steering_operator kind,
                         bool keeps_norm, int32_t gate) {
    if (gate != NO_GATE && (gate < 0 || size_t(gate) >= gates_.size() || gates_[gate].row != row)) {
        throw failure("E_SHAPE", "a term of row " + std::to_string(row) + " names gate " + std::to_string(gate) + ", which is not read there");
    }
    if (alpha == 0.0f) return; // the exact unsteered computation
    auto & [additions, others] = rows_[row];
    operates_anywhere_ |= keeps_norm || kind != steering_operator::add;
    if (kind != steering_operator::add) {
        const auto later = std::find_if(others.begin(), others.end(), [=](const term & other) { return other.kind > kind; });
        others.insert(later, term{std::move(vector), step, {{alpha, gate, keeps_norm}}, kind});
        return;
    }
    const auto key = std::make_pair(vector->serial(), step);
    auto & sum = additions.try_emplace(key, term{std::move(vector), step, {}, kind}).first->second;
    sum.parts.push_back({alpha, gate, keeps_norm});
}

// The parts of one direction are added first, as those of a replay are, whose alphas have the gates' values in them.
double steering_terms::alpha_of(const term & term) const {
    double sum = 0;
    for (const auto & part : term.parts) sum += alpha_of(part);
    return sum;
}

double steering_terms::alpha_of(const part & part) const {
    if (part.gate == NO_GATE) return part.alpha;
    const auto & gate = gates_[part.gate];
    if (!gate.is_read) {
        throw failure("E_NO_SITE", std::string("in this model's graph, ") + hook_site_name(gate.gate->place().first) + " of layer "
            + std::to_string(gate.gate->place().second) + " comes after a vector that its gate decides about");
    }
    return float(double(part.alpha) * gate.value); // 32 bits, like every alpha
}

std::set<std::shared_ptr<const steering_vector>> steering_terms::vectors() const {
    std::set<std::shared_ptr<const steering_vector>> vectors;
    for (const auto & [row, terms] : rows_) {
        for (const auto & [key, term] : terms.additions) vectors.insert(term.vector);
        for (const auto & term : terms.others) vectors.insert(term.vector);
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

const steering_terms::row_terms * steering_terms::of(int32_t row) const {
    const auto found = rows_.find(row);
    return found == rows_.end() ? nullptr : &found->second;
}

bool steering_terms::accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const {
    const auto * terms = of(row);
    if (terms == nullptr) return false;
    bool any = false;
    for (const auto & [key, term] : terms->additions) {
        if (term.vector->site() != site) continue;
        const float * direction = as_products ? term.vector->product(layer, term.step) : term.vector->direction(layer, term.step);
        const double alpha = direction == nullptr ? 0 : alpha_of(term);
        if (alpha == 0) continue;
        check_width(site, layer, sum.size(), as_products ? term.vector->n_product() : term.vector->width());
        add_scaled(sum.data(), direction, alpha, int(sum.size()));
        any = true;
    }
    return any;
}

bool steering_terms::term::acts(hook_site site, int layer) const {
    return vector->site() == site && vector->direction(layer, step) != nullptr;
}

bool steering_terms::acts(hook_site site, int layer, int32_t row) const {
    const auto * terms = of(row);
    if (terms == nullptr) return false;
    return std::any_of(terms->others.begin(), terms->others.end(), [=](const term & each) { return each.acts(site, layer); })
        || std::any_of(terms->additions.begin(), terms->additions.end(), [=](const auto & each) { return each.second.acts(site, layer); });
}

steering_terms::place_needs steering_terms::needs(hook_site site, int layer) const {
    if (!operates_anywhere_) return {true, false};
    place_needs needs{false, false};
    for (const auto & [row, terms] : rows_) {
        if (acts(site, layer, row)) (reads(site, layer, row) ? needs.reads : needs.adds) = true;
    }
    return needs;
}

bool steering_terms::operates_at(hook_site site, int layer, const row_terms & terms) {
    return std::any_of(terms.others.begin(), terms.others.end(), [=](const term & each) { return each.acts(site, layer); })
        || keeps_norm(site, layer, terms);
}

bool steering_terms::keeps_norm(hook_site site, int layer, const row_terms & terms) {
    const auto keeps = [=](const term & each) {
        return each.acts(site, layer)
            && std::any_of(each.parts.begin(), each.parts.end(), [](const part & part) { return part.keeps_norm; });
    };
    return std::any_of(terms.others.begin(), terms.others.end(), keeps)
        || std::any_of(terms.additions.begin(), terms.additions.end(), [=](const auto & each) { return keeps(each.second); });
}

bool steering_terms::operates(hook_site site, int layer, int32_t row) const {
    const auto * terms = operates_anywhere_ ? of(row) : nullptr;
    return terms != nullptr && operates_at(site, layer, *terms);
}

bool steering_terms::reads(hook_site site, int layer, int32_t row) const {
    const auto is_read = [=](hook_site where) { return in_graph_.count({where, layer}) == 0 && operates(where, layer, row); };
    return is_read(site) || (site == hook_site::head_out && is_read(hook_site::attn_out));
}

void steering_terms::apply(hook_site site, int layer, int32_t row, std::vector<float> & activation) const {
    std::vector<double> x(activation.size());
    const bool has_sum = accumulate(site, layer, row, false, x);
    const auto * terms = of(row);
    if (terms == nullptr) return;
    // A term whose gate is shut does nothing.
    const auto acts_now = [&](const term & each) { return each.acts(site, layer) && alpha_of(each) != 0; };
    const auto keeps_now = [&](const term & each) {
        return each.acts(site, layer) && std::any_of(each.parts.begin(), each.parts.end(), [&](const part & part) {
            return part.keeps_norm && alpha_of(part) != 0;
        });
    };
    bool operates = false;
    bool keeps    = false;
    for (const auto & each : terms->others) {
        operates = operates || acts_now(each);
        keeps    = keeps || keeps_now(each);
    }
    for (const auto & [key, each] : terms->additions) keeps = keeps || keeps_now(each);
    if (!operates && !keeps) {
        for (size_t i = 0; has_sum && i < x.size(); ++i) activation[i] += float(x[i]); // rounded like the graph path's operand
        return;
    }
    std::transform(x.begin(), x.end(), activation.begin(), x.begin(), std::plus<>());
    for (const auto & term : terms->others) {
        if (!acts_now(term)) continue;
        check_width(site, layer, x.size(), term.vector->width());
        const float * direction = term.vector->direction(layer, term.step);
        const double  norm = std::sqrt(squared_norm(direction, x.size()));
        if (!(norm > 0)) continue; // no direction, such as that of heads that were not selected
        const double alpha     = alpha_of(term);
        const double component = product(x.data(), direction, int(x.size())) / norm;
        const double change    = changed(term.kind, component, alpha, alpha * norm) - component;
        add_scaled(x.data(), direction, change / norm, int(x.size()));
    }
    const double after = keeps ? squared_norm(x) : 0;
    const double scale = after > 0 ? std::sqrt(squared_norm(activation.data(), x.size()) / after) : 1;
    std::transform(x.begin(), x.end(), activation.begin(), [=](double value) { return float(scale * value); });
}
