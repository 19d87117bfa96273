#pragma once
#include "engine/tensor_file.h"

#include <atomic>
#include <cstddef>
#include <future>
#include <memory>
#include <vector>

// W_O times directions of head_out: what each direction is worth at attn_out. Computed in the background, on threads of its own, from
// the moment this object is made: a decode that needs the products waits only for what is left of the work.
class output_products {
public:
    // directions: [layers, n_rows, width], which must outlive this object. The products are [layers, n_rows, width of attn_out].
    output_products(std::shared_ptr<const tensor_file> file, std::vector<int> layers, const float * directions, int n_rows, int n_threads);
    // Stops the work that is left.
    ~output_products();

    // Waits until all products are computed. Throws E_BAD_GGUF.
    void wait() const { whole_.get(); }

    // The rest only after wait().
    int           width() const { return width_; }
    const float * row(size_t row) const { return products_.data() + row * width_; }

private:
    void compute();
    void work();

    const std::shared_ptr<const tensor_file> file_;
    const std::vector<int>                   layers_;
    const float * const                      directions_;
    const int                                n_rows_;
    const int                                n_threads_;
    std::vector<const tensor_file::entry *>  weights_; // W_O of each layer
    int                                      width_ = 0;
    std::vector<float>                       products_;
    std::atomic<size_t>                      next_{0}; // piece of work
    std::atomic<bool>                        stopped_{false};
    std::shared_future<void>                 whole_;
};
