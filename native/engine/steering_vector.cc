#include "engine/steering_vector.h"

#include <algorithm>

steering_vector::steering_vector(hook_site site, std::vector<int> layers, int n_steps, int width, const float * data, uint64_t serial,
                                 uint64_t model_id)
    : site_(site), layers_(std::move(layers)), n_steps_(n_steps), width_(width), serial_(serial), model_id_(model_id),
      data_(layers_.size() * size_t(n_steps + 1) * width) {
    std::vector<double> mean(width);
    for (size_t l = 0; l < layers_.size(); ++l) {
        index_of_layer_[layers_[l]] = int(l);
        const float * source = data + l * n_steps * width;
        float *       target = data_.data() + l * (n_steps + 1) * width;
        std::copy(source, source + size_t(n_steps) * width, target);
        std::fill(mean.begin(), mean.end(), 0.0);
        for (int step = 0; step < n_steps; ++step) {
            const float * direction = source + size_t(step) * width;
            for (int i = 0; i < width; ++i) mean[i] += direction[i];
        }
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

void steering_vector::start_products(std::shared_ptr<const tensor_file> file, int n_threads) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!products_) products_ = std::make_unique<output_products>(std::move(file), layers_, data_.data(), n_steps_ + 1, n_threads);
}

const float * steering_vector::product(int layer, int step) const {
    const size_t row = row_of(layer, step);
    return row == SIZE_MAX ? nullptr : products_->row(row);
}
