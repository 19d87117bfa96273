#include "engine/activation_capture.h"

#include <cstddef>
#include <utility>

activation_capture::activation_capture(hook_site site, std::vector<int> layers, int n_steps, int width, uint64_t model_id)
    : site_(site), layers_(std::move(layers)), n_steps_(n_steps), width_(width), model_id_(model_id) {
    take();
}

void activation_capture::add(const std::vector<row_request> & requests, const std::vector<float> & activations) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const float * activation = activations.data();
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
        for (const auto & request : requests) {
            double * sum = totals_.sums.data() + (layer * n_steps_ + request.step) * width_;
            for (int i = 0; i < width_; ++i) sum[i] += request.weight * activation[i];
            activation += width_;
        }
    }
    for (const auto & request : requests) totals_.weights[request.step] += request.weight;
}

activation_capture::totals activation_capture::take() {
    totals empty{std::vector<double>(layers_.size() * n_steps_ * width_), std::vector<double>(n_steps_)};
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(totals_, std::move(empty));
}
