#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

// A delta held natively: for each layer one direction per token step, and their mean over the steps.
class steering_vector {
public:
    // data: [layers.size(), n_steps, width], row-major, copied.
    steering_vector(std::vector<int> layers, int n_steps, int width, const float * data);

    // Direction [width] at (layer, step), or nullptr where the vector has no such layer.
    // step == n_steps() is the mean over the steps, the `tail` beyond the last one.
    const float * direction(int layer, int step) const;

    int                      n_steps() const { return n_steps_; }
    int                      width() const { return width_; }
    const std::vector<int> & layers() const { return layers_; }

private:
    std::vector<int>   layers_;
    int                n_steps_;
    int                width_;
    std::map<int, int> index_of_layer_;
    std::vector<float> data_; // [layers, n_steps + 1, width]
};

// "Add alpha times this vector's direction of this step to this row of the batch."
struct steering_term {
    std::shared_ptr<const steering_vector> vector;
    int32_t                                step;
    float                                  alpha;
};

// All terms of one decode, kept in a canonical order so that composition does not depend on the caller's order.
class steering_plan {
public:
    // Throws E_SHAPE when the vectors of one plan differ in width.
    void add(int32_t row, int32_t vector_id, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha);

    bool empty() const { return rows_.empty(); }
    // Width that all vectors of the plan share, 0 when empty.
    int width() const { return width_; }

    // Adds the sum of the terms of `row` at `layer` to `activation` [width], summed in double.
    void apply(int layer, int32_t row, float * activation) const;

    // Rows (ascending) that have a term at `layer`.
    std::vector<int32_t> rows_at(int layer) const;
    // Layers (ascending) that some term touches.
    std::vector<int> layers() const;

private:
    // row -> (vector id, step) -> term
    std::map<int32_t, std::map<std::pair<int32_t, int32_t>, steering_term>> rows_;
    int width_ = 0;
};
