#include "engine/graph_path.h"

#include "engine/failure.h"
#include "engine/node_names.h"
#include "engine/node_signature.h"
#include "engine/work_counts.h"
#include "engine/zero_adapter.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <algorithm>

namespace {

// True where the sum overwrites its first operand, so that skipping it leaves that operand.
bool is_in_place(const ggml_tensor * sum) {
    const ggml_tensor * first = sum->src[0];
    return sum->data == first->data && ggml_are_same_shape(sum, first) && ggml_are_same_stride(sum, first);
}

} // namespace

// One tensor [n_embd, capacity] per layer, of which a node uses the first rows, and one row of zeros.
struct graph_path::operands {
    operands(ggml_backend_buffer_type_t type, int n_layer, int64_t n_embd, int64_t capacity)
        : capacity(capacity), context(ggml_init({ggml_tensor_overhead() * (n_layer + 1), nullptr, true}), ggml_free),
          buffer(nullptr, ggml_backend_buffer_free) {
        for (int layer = 0; layer < n_layer; ++layer) tensors.push_back(ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, n_embd, capacity));
        zeros = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, n_embd);
        buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), type));
        if (!buffer) throw failure("E_LLAMA", "not enough memory for the vectors of " + std::to_string(capacity) + " rows");
        ggml_backend_buffer_clear(buffer.get(), 0);
    }

    // The tensor of a layer, with as many rows as its node.
    ggml_tensor * of(int layer, int64_t n_rows) {
        ggml_tensor * tensor = tensors[layer];
        tensor->ne[1] = n_rows;
        tensor->nb[2] = tensor->nb[3] = tensor->nb[1] * n_rows;
        return tensor;
    }

    int64_t capacity;
    std::unique_ptr<ggml_context, decltype(&ggml_free)>                 context;
    std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer;
    std::vector<ggml_tensor *> tensors;
    ggml_tensor *              zeros;
};

graph_path::graph_path(const llama_model * model) : model_(model) {}
graph_path::~graph_path() = default;

void graph_path::enable(slot kind, llama_context * context, llama_adapter_lora * zero_adapter) {
    if (kind == slot::attention) {
        float scale = 1;
        llama_set_adapters_lora(context, &zero_adapter, 1, &scale);
    } else {
        const int n_layer = llama_model_n_layer(model_);
        const int n_embd  = llama_model_n_embd(model_);
        const std::vector<float> zeros(size_t(std::max(n_layer - 1, 1)) * n_embd);
        if (llama_set_adapter_cvec(context, zeros.data(), zeros.size(), n_embd, 1, n_layer - 1) != 0) {
            throw failure("E_LLAMA", "llama.cpp could not set a control vector");
        }
    }
    enabled_.insert(kind);
}

void graph_path::start(const steering_terms * terms, std::map<hook_site, std::set<int>> places, const batch_rows * rows, bool keeps_nodes) {
    terms_        = terms;
    rows_        = rows;
    keeps_nodes_ = keeps_nodes;
    places_ = std::move(places);
    steered_rows_ = terms->rows();
    seen_.clear();
    error_ = nullptr;
}

void graph_path::finish_pass() {
    if (error_) std::rethrow_exception(error_);
}

void graph_path::visit(ggml_tensor * tensor) {
    if (enabled_.empty()) return;
    const bool is_changed = tensor->op == GGML_OP_NONE || tensor->op == GGML_OP_MAP_CUSTOM2; // by an earlier decode
    if (is_changed && own_.count(tensor->src[1]) != 0) tensor->op = GGML_OP_ADD;
    if (tensor->op != GGML_OP_ADD) return;
    if (is_enabled(slot::attention)) {
        // The adapter's is the first addition to W_O's product.
        const int layer = layer_of_attention_output(tensor->src[0]);
        if (layer >= 0) return patch(slot::attention, layer, tensor);
    }
    if (is_enabled(slot::block)) {
        // The first block has no such node: its "l_out" is the residual sum, whose operands are computed.
        const int layer = node_names::parse_block_output(tensor->name);
        if (layer > 0 && tensor->src[1]->op == GGML_OP_NONE) patch(slot::block, layer, tensor);
    }
}

void graph_path::patch(slot kind, int layer, ggml_tensor * node) {
    if (ggml_is_empty(node)) return; // no row of the batch has logits
    const bool is_patched = own_.count(node->src[1]) != 0; // by an earlier decode, whose graph is reused
    if (kind == slot::attention && !is_patched) drop_zero_adapter(layer, node->src[1]);
    operands & memory = memory_of(kind, node);
    node->src[1] = memory.zeros;
    seen_.insert({kind, layer});
    if (!compose(kind, layer, node)) {
        if (!keeps_nodes_ && is_in_place(node)) node->op = GGML_OP_NONE;
        return;
    }
    ggml_tensor * operand = memory.of(layer, node->ne[1]);
    ggml_backend_tensor_set(operand, composed_.data(), 0, composed_.size() * sizeof(float));
    work_done.vector_bytes += composed_.size() * sizeof(float);
    node->src[1] = operand;
    auto & what = operations_.at({kind, layer});
    if (!what.rows.empty()) call_function(node, what);
}

// The operation's parameters are those that ggml writes for such a node.
void graph_path::call_function(ggml_tensor * node, operation & what) {
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> scratch(ggml_init({4 * ggml_tensor_overhead(), nullptr, true}), ggml_free);
    ggml_tensor * any    = ggml_new_tensor_1d(scratch.get(), GGML_TYPE_F32, 1);
    ggml_tensor * custom = ggml_map_custom2(scratch.get(), any, any, operate, 1, &what);
    std::copy(std::begin(custom->op_params), std::end(custom->op_params), std::begin(node->op_params));
    node->op = custom->op;
}

// On the thread that computes the node; no exception may cross ggml.
void graph_path::operate(ggml_tensor * node, const ggml_tensor * activations, const ggml_tensor * operand, int thread, int,
                         void * user_data) {
    if (thread != 0) return;
    const auto & what = *static_cast<const operation *>(user_data);
    const auto row_of = [](const ggml_tensor * tensor, int64_t row) {
        return reinterpret_cast<float *>(static_cast<char *>(tensor->data) + row * tensor->nb[1]);
    };
    try {
        for (int64_t row = 0; row < node->ne[1]; ++row) {
            const float * x = row_of(activations, row);
            std::transform(x, x + node->ne[0], row_of(operand, row), row_of(node, row), std::plus<>());
        }
        for (const auto & [node_row, row] : what.rows) {
            float * x = row_of(node, node_row);
            std::vector<float> activation(x, x + node->ne[0]);
            what.path->terms_->apply(what.site, what.layer, row, activation);
            std::copy(activation.begin(), activation.end(), x);
        }
    } catch (...) {
        what.path->error_ = std::current_exception();
    }
}

// Fills composed_ [n_rows, n_embd] with what to add at the node; false when there is nothing to add.
bool graph_path::compose(slot kind, int layer, const ggml_tensor * node) {
    const hook_site own_site = kind == slot::block ? hook_site::resid_post : hook_site::attn_out;
    auto & what = operations_[{kind, layer}] = {this, own_site, layer, {}};
    std::vector<hook_site> sites;
    for (const auto & [site, layers] : places_) {
        if (slot_of(site) == kind && layers.count(layer) != 0) sites.push_back(site);
    }
    if (sites.empty()) return false;
    const auto node_rows = rows_->rows_of_node(node->ne[1]);
    const int64_t width = node->ne[0];
    composed_.assign(size_t(width * node->ne[1]), 0.0f);
    bool any = false;
    for (int32_t row : steered_rows_) {
        if (node_rows.at(row) < 0) continue;
        bool touched = false;
        sum_.assign(width, 0.0);
        const bool operates = terms_->operates(own_site, layer, row) && !terms_->reads(own_site, layer, row);
        if (operates) what.rows.emplace_back(node_rows[row], row);
        any |= operates;
        for (hook_site site : sites) {
            if (terms_->reads(site, layer, row) || (operates && site == own_site)) continue; // left to the callback path, or the function
            touched |= terms_->accumulate(site, layer, row, site == hook_site::head_out, sum_);
        }
        if (touched) std::copy(sum_.begin(), sum_.end(), composed_.begin() + node_rows[row] * width);
        any |= touched;
    }
    return any;
}

graph_path::operands & graph_path::memory_of(slot kind, const ggml_tensor * node) {
    ggml_backend_buffer_type_t type = ggml_backend_buffer_get_type(node->buffer);
    auto & memories = memories_[{kind, type}];
    if (memories.empty() || memories.back()->capacity < rows_->n_rows) {
        int64_t capacity = 4;
        while (capacity < rows_->n_rows) capacity *= 2;
        memories.push_back(std::make_unique<operands>(type, llama_model_n_layer(model_), node->ne[0], capacity));
        own_.insert(memories.back()->zeros);
        own_.insert(memories.back()->tensors.begin(), memories.back()->tensors.end());
    }
    return *memories.back();
}
