#pragma once
#include "engine/counted.h"
#include "engine/hook_site.h"
#include "engine/tensor_file.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

// A vector held natively: for each of some layers one direction per token step, and their mean over the steps.
class steering_vector : counted<steering_vector> {
public:
    using counted<steering_vector>::alive;

    // data: [layers.size(), n_steps, width], row-major, copied; layers ascending. `serial` orders the terms of a row.
    steering_vector(hook_site site, std::vector<int> layers, int n_steps, int width, const float * data, uint64_t serial, uint64_t model_id);

    // Direction [width] at (layer, step), or nullptr where the vector has no such layer.
    // step == n_steps() is the mean over the steps, the `tail` beyond the last one.
    const float * direction(int layer, int step) const;

    // W_O times the direction [n_embd]: what a direction at head_out is worth at attn_out. Call project() before.
    const float * product(int layer, int step) const;
    int           n_product() const { return n_product_; }
    // Computes all products, once; from any thread. Throws E_BAD_GGUF.
    void project(const tensor_file & file) const;

    hook_site                site() const { return site_; }
    int                      n_steps() const { return n_steps_; }
    int                      width() const { return width_; }
    uint64_t                 serial() const { return serial_; }
    uint64_t                 model_id() const { return model_id_; }
    const std::vector<int> & layers() const { return layers_; }
    // True when `data` [layers, n_steps, width] is what the vector was made of.
    bool                     is_made_of(const float * data, size_t n) const;

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

    mutable std::mutex         projecting_;
    mutable int                n_product_ = 0; // width of a product; 0 = not yet computed
    mutable std::vector<float> products_;      // [layers, n_steps + 1, n_product]
};

// All terms of one decode: "add alpha times this vector's direction of this step to this row of the batch", kept in a
// canonical order so that composition does not depend on the caller's order.
class steering_plan {
public:
    void add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha);

    bool empty() const { return rows_.empty(); }
    // Every site and layer that some term touches.
    std::map<hook_site, std::set<int>> places() const;
    // The vectors of all terms.
    std::set<std::shared_ptr<const steering_vector>> vectors() const;
    // Rows (ascending) that have terms.
    std::vector<int32_t> rows() const;

    // Adds the row's terms at (site, layer) to sum [width], in double; `as_products`: those of head_out times W_O.
    // False where there are none.
    bool accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const;

private:
    struct term {
        std::shared_ptr<const steering_vector> vector;
        int32_t                                step;
        double                                 alpha;
    };
    // row -> (serial of the vector, step) -> term
    std::map<int32_t, std::map<std::pair<uint64_t, int32_t>, term>> rows_;
};
