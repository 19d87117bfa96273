#include "engine/eval_hook.h"

#include "engine/failure.h"
#include "engine/node_names.h"
#include "engine/node_signature.h"
#include "engine/work_counts.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace {

bool debug_enabled() {
    static const bool enabled = [] {
        const char * value = std::getenv("LLAMA_STEER_DEBUG");
        return value != nullptr && std::strstr(value, "hook") != nullptr;
    }();
    return enabled;
}

void log_hit(const ggml_tensor * tensor, int32_t row, const char * what, const std::vector<float> & activation) {
    double squares = 0;
    for (float x : activation) squares += double(x) * x;
    std::fprintf(stderr, "hook %s %s [%lld, %lld] row %d norm %.6g\n", what, tensor->name,
                 (long long) tensor->ne[1], (long long) tensor->ne[0], row, std::sqrt(squares));
}

std::vector<float> read_row(const ggml_tensor * tensor, int32_t row) {
    std::vector<float> activation(tensor->ne[0]);
    ggml_backend_tensor_get(tensor, activation.data(), row * tensor->nb[1], activation.size() * sizeof(float));
    work_done.activation_bytes += activation.size() * sizeof(float);
    return activation;
}

std::string describe(const site_place & place) {
    return std::string(hook_site_name(place.first)) + " of layer " + std::to_string(place.second);
}

} // namespace

void eval_hook::start(work next) {
    cancel();
    work_ = std::move(next);
    for (const auto & [site, layers] : work_.on_callback) {
        for (int layer : layers) expected_.insert({site, layer});
    }
    for (const auto & gate : work_.terms.gates()) expected_.insert(gate.gate->place());
    read_.clear();
    for (const auto & [capture, rows] : work_.captures) {
        for (int layer : capture->layers()) expected_.insert({capture->site(), layer});
        read_.emplace_back(capture->layers().size() * rows.size() * capture->width());
    }
}

void eval_hook::start_pass(batch_rows rows) {
    rows_ = std::move(rows);
    seen_.clear();
    head_out_.clear();
    n_nodes_ = 0;
    error_ = nullptr;
    graph_.start(&work_.terms, work_.on_graph, &rows_, !expected_.empty());
}

void eval_hook::cancel() {
    expected_.clear();
    work_ = {};
}

void eval_hook::finish_pass() {
    work_done.nodes += n_nodes_;
    try {
        if (error_) std::rethrow_exception(error_);
        graph_.finish_pass();
        check_seen();
    } catch (...) {
        cancel();
        throw;
    }
}

std::vector<gate_reading> eval_hook::finish() {
    for (size_t i = 0; i < read_.size(); ++i) work_.captures[i].capture->add(work_.captures[i].rows, read_[i]);
    auto gates = std::move(work_.terms.gates());
    cancel();
    return gates;
}

void eval_hook::check_seen() const {
    std::set<site_place> missing;
    for (const site_place & at : expected_) {
        if (seen_.count(at) == 0) missing.insert(at);
    }
    for (const auto & [site, layers] : work_.on_graph) {
        for (int layer : layers) {
            // If no row has logits, the last layer ends after the attention.
            const site_node * node = sites_.find(site, layer);
            const bool is_cut = node != nullptr && node->is_cut && rows_.output_rows.empty();
            if (!graph_.has_seen(site, layer) && !is_cut) missing.insert({site, layer});
        }
    }
    if (!missing.empty()) {
        throw failure("E_NO_SITE", "the model's graph never showed " + describe(*missing.begin()), 0,
            "KV cache advanced by this batch, unsteered at that layer");
    }
    if (!head_out_.empty()) {
        throw failure("E_NO_SITE", "this model changes the heads' outputs before W_O: it has no head_out in layer "
            + std::to_string(head_out_.begin()->first), 0, "KV cache advanced by this batch");
    }
}

bool eval_hook::callback(ggml_tensor * tensor, bool ask, void * user_data) {
    auto & hook = *static_cast<eval_hook *>(user_data);
    try {
        if (ask) {
            ++hook.n_nodes_;
            hook.graph_.visit(tensor);
        }
        if (hook.expected_.empty()) return !ask; // nothing is wanted: false when asked, and true, "continue", for a computed node
        if (ask) hook.check_attention_input(tensor);
        const site_place * at = hook.find(tensor);
        if (at == nullptr) return !ask;
        if (!ask) hook.process(tensor, *at);
    } catch (...) { // no exception may cross llama.cpp
        if (!hook.error_) hook.error_ = std::current_exception();
    }
    return true;
}

const site_place * eval_hook::find(const ggml_tensor * tensor) const {
    const site_place * at = sites_.match(tensor);
    return at != nullptr && expected_.count(*at) != 0 ? at : nullptr;
}

// The node taken for head_out must be what W_O is applied to.
void eval_hook::check_attention_input(const ggml_tensor * tensor) {
    const auto found = head_out_.find(layer_of_attention_output(tensor));
    if (found == head_out_.end()) return;
    const ggml_tensor * input = tensor->src[1];
    const bool is_same = input == found->second || (is_copy(input) && node_names::without_copy(input->name) == found->second->name);
    if (is_same) head_out_.erase(found);
}

void eval_hook::process(ggml_tensor * tensor, const site_place & at) {
    ++work_done.stops;
    if (!seen_.insert(at).second) throw failure("E_NO_SITE", "the model's graph shows " + describe(at) + " twice");
    if (at.first == hook_site::head_out) head_out_[at.second] = tensor;
    // The session makes sure that a graph has the rows in its order (passes.h).
    const auto node_rows = rows_.rows_of_node(ggml_nrows(tensor));
    if (node_rows.empty() || tensor->type != GGML_TYPE_F32 || !ggml_is_contiguous(tensor)) {
        throw failure("E_NO_SITE", describe(at) + " is " + ggml_type_name(tensor->type) + " with " + std::to_string(ggml_nrows(tensor))
            + " rows; expected f32 with " + std::to_string(rows_.n_rows));
    }
    capture(tensor, at, node_rows);
    read_gates(tensor, at, node_rows); // before anything is added at the same place
    steer(tensor, at, node_rows);
}

void eval_hook::capture(const ggml_tensor * tensor, const site_place & at, const std::vector<int32_t> & node_rows) {
    for (size_t i = 0; i < read_.size(); ++i) {
        const auto & [capture, rows] = work_.captures[i];
        const auto layer = std::find(capture->layers().begin(), capture->layers().end(), at.second);
        if (capture->site() != at.first || layer == capture->layers().end()) continue;
        if (tensor->ne[0] != capture->width()) {
            throw failure("E_NO_SITE", describe(at) + " has width " + std::to_string(tensor->ne[0]) + "; expected "
                + std::to_string(capture->width()));
        }
        float * kept = read_[i].data() + (layer - capture->layers().begin()) * rows.size() * capture->width();
        for (const auto & request : rows) {
            float * place = std::exchange(kept, kept + capture->width());
            if (node_rows[request.row] < 0) continue;
            const auto activation = read_row(tensor, node_rows[request.row]);
            std::copy(activation.begin(), activation.end(), place);
            if (debug_enabled()) log_hit(tensor, request.row, "capture", activation);
        }
    }
}

// The graph path adds what is added to heads only after W_O's product.
void eval_hook::add_steered_heads(std::vector<float> & activation, const site_place & at, int32_t row) const {
    const auto heads = work_.on_graph.find(hook_site::head_out);
    if (at.first != hook_site::attn_out || heads == work_.on_graph.end() || heads->second.count(at.second) == 0) return;
    if (work_.terms.reads(hook_site::head_out, at.second, row)) return; // left to the callback path
    std::vector<double> sum(activation.size());
    work_.terms.accumulate(hook_site::head_out, at.second, row, true, sum);
    for (size_t i = 0; i < sum.size(); ++i) activation[i] += float(sum[i]);
}

void eval_hook::read_gates(const ggml_tensor * tensor, const site_place & at, const std::vector<int32_t> & node_rows) {
    for (auto & reading : work_.terms.gates()) {
        if (reading.gate->place() != at || node_rows[reading.row] < 0) continue;
        auto activation = read_row(tensor, node_rows[reading.row]);
        add_steered_heads(activation, at, reading.row);
        reading.probability = reading.gate->probability(activation);
        reading.value       = reading.gate->value(reading.probability, reading.was_open);
        reading.is_read     = true;
        if (debug_enabled()) log_hit(tensor, reading.row, "gate", activation);
    }
}

void eval_hook::steer(ggml_tensor * tensor, const site_place & at, const std::vector<int32_t> & node_rows) {
    const auto steered = work_.on_callback.find(at.first);
    if (steered == work_.on_callback.end() || steered->second.count(at.second) == 0) return;
    const auto on_graph = work_.on_graph.find(at.first);
    const bool is_shared = on_graph != work_.on_graph.end() && on_graph->second.count(at.second) != 0;
    for (int32_t row : work_.terms.rows()) {
        if (node_rows[row] < 0 || !work_.terms.acts(at.first, at.second, row)) continue;
        if (is_shared && !work_.terms.reads(at.first, at.second, row)) continue; // the graph path adds to it
        auto activation = read_row(tensor, node_rows[row]);
        work_.terms.apply(at.first, at.second, row, activation);
        ggml_backend_tensor_set(tensor, activation.data(), node_rows[row] * tensor->nb[1], activation.size() * sizeof(float));
        work_done.activation_bytes += activation.size() * sizeof(float);
        if (debug_enabled()) log_hit(tensor, row, "steer", activation);
    }
}
