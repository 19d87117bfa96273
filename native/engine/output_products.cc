#include "engine/output_products.h"

#include "engine/failure.h"
#include "engine/log_sink.h"
#include "engine/node_names.h"

#include <algorithm>

namespace {

// Rows of W_O that a thread multiplies before it looks for more work, or for a reason to stop.
constexpr int PIECE = 128;

// Where the system gives no more threads, the work is done by whoever waits for it.
constexpr auto IN_BACKGROUND = std::launch::async | std::launch::deferred;

} // namespace

output_products::output_products(std::shared_ptr<const tensor_file> file, std::vector<int> layers, const float * directions, int n_rows,
                                 int n_threads)
    : file_(std::move(file)), layers_(std::move(layers)), directions_(directions), n_rows_(n_rows), n_threads_(n_threads),
      whole_(std::async(IN_BACKGROUND, [this] { compute(); })) {}

output_products::~output_products() {
    stopped_ = true;
}

void output_products::compute() {
    const log_sink log;
    for (int layer : layers_) {
        const std::string name = node_names::spell_block_weight(layer, node_names::ATTENTION_OUTPUT);
        weights_.push_back(file_->find(name));
        if (weights_.back() == nullptr) throw failure("E_BAD_GGUF", "the model's file has no " + name);
    }
    width_ = int(weights_.front()->n_out);
    products_.resize(layers_.size() * n_rows_ * width_);
    std::vector<std::future<void>> helpers;
    for (int i = 1; i < n_threads_; ++i) helpers.push_back(std::async(IN_BACKGROUND, [this] { work(); }));
    work();
    for (auto & helper : helpers) helper.get();
}

void output_products::work() {
    const size_t n_pieces = size_t(width_ + PIECE - 1) / PIECE; // per layer
    for (size_t piece = next_++; piece < layers_.size() * n_pieces && !stopped_; piece = next_++) {
        const size_t layer = piece / n_pieces;
        const int    first = int(piece % n_pieces) * PIECE;
        const auto & weight = *weights_[layer];
        tensor_file::multiply(weight, first, std::min(first + PIECE, width_), directions_ + layer * n_rows_ * weight.n_in, n_rows_,
                              products_.data() + layer * n_rows_ * width_);
    }
}
