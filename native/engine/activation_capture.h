#pragma once
#include "engine/counted.h"
#include "engine/hook_site.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

// Weighted sums of activations at one site per layer and token step, accumulated in double over many decodes.
// Safe to use from several threads.
class activation_capture : counted<activation_capture> {
public:
    using counted<activation_capture>::alive;

    // layers: ascending.
    activation_capture(hook_site site, std::vector<int> layers, int n_steps, int width, uint64_t model_id);

    // One captured row of a decode: which row of the batch, the token step it belongs to, its weight.
    struct row_request {
        int32_t row;
        int32_t step;
        double  weight;
    };

    // Adds a whole decode: activations [layers, requests, width] as read.
    void add(const std::vector<row_request> & requests, const std::vector<float> & activations);

    struct totals {
        std::vector<double> sums;    // [layers, n_steps, width]
        std::vector<double> weights; // [n_steps]
    };
    // Returns the sums so far and resets the capture.
    totals take();

    hook_site                site() const { return site_; }
    const std::vector<int> & layers() const { return layers_; }
    int                      n_steps() const { return n_steps_; }
    int                      width() const { return width_; }
    uint64_t                 model_id() const { return model_id_; }

private:
    const hook_site        site_;
    const std::vector<int> layers_;
    const int              n_steps_;
    const int              width_;
    const uint64_t         model_id_;
    std::mutex             mutex_;
    totals                 totals_;
};

// The rows of one decode that a capture records.
struct capture_request {
    std::shared_ptr<activation_capture>          capture;
    std::vector<activation_capture::row_request> rows;
};
