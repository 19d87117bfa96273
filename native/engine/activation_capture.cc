#include "engine/activation_capture.h"

activation_capture::activation_capture(hook_site site, int n_layer, int n_steps, int width)
    : site_(site), n_layer_(n_layer), n_steps_(n_steps), width_(width),
      sums_(size_t(n_layer) * n_steps * width), weights_(n_steps) {}

void activation_capture::add(int layer, const row_request & request, const float * activation) {
    double * sum = sums_.data() + (size_t(layer) * n_steps_ + request.step) * width_;
    for (int i = 0; i < width_; ++i) sum[i] += request.weight * activation[i];
}

void activation_capture::count(const std::vector<row_request> & requests) {
    for (const auto & request : requests) weights_[request.step] += request.weight;
}
