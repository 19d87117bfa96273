#pragma once
#include "engine/counted.h"
#include "engine/hook_site.h"
#include "engine/output_products.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

// A vector held natively: for some layers, one direction per token step and the mean over the steps.
class steering_vector : counted<steering_vector> {
public:
    using counted<steering_vector>::alive;

    // data: [layers.size(), n_steps, width], row-major, copied; layers ascending. `serial` orders the terms of a row.
    steering_vector(hook_site site, std::vector<int> layers, int n_steps, int width, const float * data, uint64_t serial,
                    uint64_t model_id);

    // The direction [width] at (layer, step), or nullptr where the vector lacks the layer. step == n_steps() is the mean over the
    // steps, which stands for every later step.
    const float * direction(int layer, int step) const;

    // Starts to compute W_O times every direction of a vector at head_out, in the background (output_products.h). Only the first call
    // counts; from any thread.
    void start_products(std::shared_ptr<const tensor_file> file, int n_threads) const;
    // Waits for them. Throws E_BAD_GGUF.
    void wait_for_products() const { products_->wait(); }
    // W_O times the direction at (layer, step); like n_product(), its width, only after the wait.
    const float * product(int layer, int step) const;
    int           n_product() const { return products_->width(); }

    hook_site                site() const { return site_; }
    int                      n_steps() const { return n_steps_; }
    int                      width() const { return width_; }
    uint64_t                 serial() const { return serial_; }
    uint64_t                 model_id() const { return model_id_; }
    const std::vector<int> & layers() const { return layers_; }

private:
    size_t row_of(int layer, int step) const;

    hook_site          site_;
    std::vector<int>   layers_;
    int                n_steps_;
    int                width_;
    uint64_t           serial_;
    uint64_t           model_id_;
    std::map<int, int> index_of_layer_;
    std::vector<float> data_; // [layers, n_steps + 1, width]

    mutable std::mutex                             mutex_;
    mutable std::unique_ptr<const output_products> products_; // [layers, n_steps + 1, n_product]
};
