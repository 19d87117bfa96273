#pragma once
#include "engine/hook_site.h"

#include <cstdint>
#include <map>
#include <vector>

// Weighted sums of activations per token step, accumulated in double precision over many decodes.
class activation_capture {
public:
    activation_capture(hook_site site, int n_layer, int n_steps, int width);

    // One captured row of the next decode: which row of the batch, the token step it belongs to, its weight.
    struct row_request {
        int32_t row;
        int32_t step;
        double  weight;
    };

    // Adds weight * activation [width] to the sum of (layer, step).
    void add(int layer, const row_request & request, const float * activation);
    // Counts the rows of one decode, once all layers were seen.
    void count(const std::vector<row_request> & requests);

    hook_site site() const { return site_; }
    int       n_layer() const { return n_layer_; }
    int       n_steps() const { return n_steps_; }
    int       width() const { return width_; }

    const std::vector<double> & sums() const { return sums_; }       // [n_layer, n_steps, width]
    const std::vector<double> & weights() const { return weights_; } // [n_steps]

private:
    hook_site           site_;
    int                 n_layer_;
    int                 n_steps_;
    int                 width_;
    std::vector<double> sums_;
    std::vector<double> weights_;
};
