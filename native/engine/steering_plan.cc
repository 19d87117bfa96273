#include "engine/steering_plan.h"

#include "engine/failure.h"
#include "engine/node_names.h"
#include "engine/per_processor.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <thread>

namespace {

PER_PROCESSOR void add_scaled(double * sum, const float * direction, double alpha, int n) {
    for (int i = 0; i < n; ++i) sum[i] += alpha * direction[i];
}

} // namespace

steering_vector::steering_vector(hook_site site, std::vector<int> layers, int n_steps, int width, const float * data, uint64_t serial, uint64_t model_id)
    : site_(site), layers_(std::move(layers)), n_steps_(n_steps), width_(width), serial_(serial), model_id_(model_id),
      data_(layers_.size() * size_t(n_steps + 1) * width) {
    std::vector<double> mean(width);
    for (size_t l = 0; l < layers_.size(); ++l) {
        index_of_layer_[layers_[l]] = int(l);
        const float * source = data + l * n_steps * width;
        float *       target = data_.data() + l * (n_steps + 1) * width;
        std::copy(source, source + size_t(n_steps) * width, target);
        std::fill(mean.begin(), mean.end(), 0.0);
        for (int step = 0; step < n_steps; ++step) add_scaled(mean.data(), source + size_t(step) * width, 1, width);
        std::transform(mean.begin(), mean.end(), target + size_t(n_steps) * width, [=](double sum) { return float(sum / n_steps); });
    }
}

size_t steering_vector::row_of(int layer, int step) const {
    const auto found = index_of_layer_.find(layer);
    return found == index_of_layer_.end() ? SIZE_MAX : size_t(found->second) * (n_steps_ + 1) + step;
}

const float * steering_vector::direction(int layer, int step) const {
    const size_t row = row_of(layer, step);
    return row == SIZE_MAX ? nullptr : data_.data() + row * width_;
}

const float * steering_vector::product(int layer, int step) const {
    const size_t row = row_of(layer, step);
    return row == SIZE_MAX ? nullptr : products_.data() + row * n_product_;
}

void steering_vector::project(const tensor_file & file) const {
    const std::lock_guard<std::mutex> lock(projecting_);
    if (n_product_ != 0) return;
    std::vector<const tensor_file::entry *> weights;
    for (int layer : layers_) weights.push_back(file.find(node_names::spell_block_weight(layer, node_names::ATTENTION_OUTPUT)));
    const size_t n_out = weights.at(0)->n_out;
    std::vector<float> products(layers_.size() * (n_steps_ + 1) * n_out);
    std::atomic<size_t> next{0};
    const auto work = [&] {
        for (size_t l = next++; l < weights.size(); l = next++) {
            tensor_file::multiply(*weights[l], data_.data() + l * (n_steps_ + 1) * width_, n_steps_ + 1, products.data() + l * (n_steps_ + 1) * n_out);
        }
    };
    std::vector<std::future<void>> helpers;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) helpers.push_back(std::async(std::launch::async, work));
    work();
    for (auto & helper : helpers) helper.get();
    products_  = std::move(products);
    n_product_ = int(n_out);
}

bool steering_vector::is_made_of(const float * data, size_t n) const {
    const size_t own = size_t(n_steps_) * width_;
    if (n != layers_.size() * own) return false;
    for (size_t l = 0; l < layers_.size(); ++l) {
        if (std::memcmp(data + l * own, data_.data() + l * (own + width_), own * sizeof(float)) != 0) return false;
    }
    return true;
}

void steering_plan::add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha) {
    if (alpha == 0.0f) return; // exactly the unsteered computation
    auto & terms = rows_[row];
    const auto key = std::make_pair(vector->serial(), step);
    const auto found = terms.find(key);
    if (found == terms.end()) {
        terms.emplace(key, term{std::move(vector), step, alpha});
    } else {
        found->second.alpha += alpha;
    }
}

std::set<std::shared_ptr<const steering_vector>> steering_plan::vectors() const {
    std::set<std::shared_ptr<const steering_vector>> vectors;
    for (const auto & [row, terms] : rows_) {
        for (const auto & [key, term] : terms) vectors.insert(term.vector);
    }
    return vectors;
}

std::map<hook_site, std::set<int>> steering_plan::places() const {
    std::map<hook_site, std::set<int>> places;
    for (const auto & vector : vectors()) places[vector->site()].insert(vector->layers().begin(), vector->layers().end());
    return places;
}

std::vector<int32_t> steering_plan::rows() const {
    std::vector<int32_t> rows;
    for (const auto & [row, terms] : rows_) rows.push_back(row);
    return rows;
}

bool steering_plan::accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const {
    const auto found = rows_.find(row);
    if (found == rows_.end()) return false;
    bool any = false;
    for (const auto & [key, term] : found->second) {
        if (term.vector->site() != site) continue;
        const float * direction = as_products ? term.vector->product(layer, term.step) : term.vector->direction(layer, term.step);
        if (direction == nullptr) continue;
        if (int(sum.size()) != (as_products ? term.vector->n_product() : term.vector->width())) {
            throw failure("E_NO_SITE", std::string(hook_site_name(site)) + " of layer " + std::to_string(layer) + " has width " + std::to_string(sum.size()) + "; the vector's is another");
        }
        add_scaled(sum.data(), direction, term.alpha, int(sum.size()));
        any = true;
    }
    return any;
}
