#include "engine/steering_plan.h"

#include "failure.h"

#include <algorithm>
#include <set>

steering_vector::steering_vector(std::vector<int> layers, int n_steps, int width, const float * data)
    : layers_(std::move(layers)), n_steps_(n_steps), width_(width),
      data_(layers_.size() * size_t(n_steps + 1) * width) {
    for (size_t l = 0; l < layers_.size(); ++l) {
        index_of_layer_[layers_[l]] = int(l);
        const float * source = data + l * n_steps * width;
        float *       target = data_.data() + l * (n_steps + 1) * width;
        std::copy(source, source + size_t(n_steps) * width, target);
        for (int i = 0; i < width; ++i) {
            double sum = 0;
            for (int step = 0; step < n_steps; ++step) sum += source[size_t(step) * width + i];
            target[size_t(n_steps) * width + i] = float(sum / n_steps);
        }
    }
}

const float * steering_vector::direction(int layer, int step) const {
    const auto found = index_of_layer_.find(layer);
    if (found == index_of_layer_.end()) return nullptr;
    return data_.data() + (size_t(found->second) * (n_steps_ + 1) + step) * width_;
}

void steering_plan::add(int32_t row, int32_t vector_id, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha) {
    if (alpha == 0.0f) return; // exactly the unsteered computation
    if (width_ != 0 && vector->width() != width_) {
        throw failure("E_SHAPE", "vectors of width " + std::to_string(width_) + " and " + std::to_string(vector->width()) + " in one batch");
    }
    width_ = vector->width();
    auto & terms = rows_[row];
    const auto key = std::make_pair(vector_id, step);
    const auto found = terms.find(key);
    if (found == terms.end()) {
        terms.emplace(key, steering_term{std::move(vector), step, alpha});
    } else {
        found->second.alpha += alpha;
    }
}

void steering_plan::apply(int layer, int32_t row, float * activation) const {
    const auto found = rows_.find(row);
    if (found == rows_.end()) return;
    struct addend { const float * direction; double alpha; };
    std::vector<addend> addends;
    for (const auto & [key, term] : found->second) {
        const float * direction = term.vector->direction(layer, term.step);
        if (direction != nullptr) addends.push_back({direction, term.alpha});
    }
    if (addends.empty()) return;
    for (int i = 0; i < width_; ++i) {
        double sum = 0;
        for (const auto & a : addends) sum += a.alpha * a.direction[i];
        activation[i] = float(activation[i] + sum);
    }
}

std::vector<int32_t> steering_plan::rows_at(int layer) const {
    std::vector<int32_t> rows;
    for (const auto & [row, terms] : rows_) {
        const bool touched = std::any_of(terms.begin(), terms.end(), [&](const auto & entry) {
            return entry.second.vector->direction(layer, 0) != nullptr;
        });
        if (touched) rows.push_back(row);
    }
    return rows;
}

std::vector<int> steering_plan::layers() const {
    std::set<int> layers;
    for (const auto & [row, terms] : rows_) {
        for (const auto & [key, term] : terms) layers.insert(term.vector->layers().begin(), term.vector->layers().end());
    }
    return {layers.begin(), layers.end()};
}
