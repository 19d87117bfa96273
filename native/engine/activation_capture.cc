#include "engine/activation_capture.h"

#include <cstddef>

activation_capture::activation_capture(int n_layer, int n_steps, int width)
    : n_layer_(n_layer), n_steps_(n_steps), width_(width), sums_(size_t(n_layer) * n_steps * width), weights_(n_steps) {}

void activation_capture::add(const std::vector<row_request> & requests, const std::vector<float> & activations) {
    const float * activation = activations.data();
    for (int layer = 0; layer < n_layer_; ++layer) {
        for (const auto & request : requests) {
            double * sum = sums_.data() + (size_t(layer) * n_steps_ + request.step) * width_;
            for (int i = 0; i < width_; ++i) sum[i] += request.weight * activation[i];
            activation += width_;
        }
    }
    for (const auto & request : requests) weights_[request.step] += request.weight;
}
