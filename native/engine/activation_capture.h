#pragma once
#include <cstdint>
#include <vector>

// Weighted sums of activations per token step, accumulated in double precision over many decodes.
class activation_capture {
public:
    activation_capture(int n_layer, int n_steps, int width);

    // One captured row of the next decode: which row of the batch, the token step it belongs to, its weight.
    struct row_request {
        int32_t row;
        int32_t step;
        double  weight;
    };

    // Adds one whole decode: activations [n_layer, requests, width] as they were read.
    void add(const std::vector<row_request> & requests, const std::vector<float> & activations);

    int n_layer() const { return n_layer_; }
    int n_steps() const { return n_steps_; }
    int width() const { return width_; }

    const std::vector<double> & sums() const { return sums_; }       // [n_layer, n_steps, width]
    const std::vector<double> & weights() const { return weights_; } // [n_steps]

private:
    int                 n_layer_;
    int                 n_steps_;
    int                 width_;
    std::vector<double> sums_;
    std::vector<double> weights_;
};
