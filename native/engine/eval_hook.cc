#include "engine/eval_hook.h"

#include "engine/hook_site.h"
#include "failure.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr hook_site SITE = hook_site::head_out;

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

} // namespace

void eval_hook::start(work next) {
    work_ = std::move(next);
    seen_.clear();
    error_.clear();
    const auto steered = work_.plan.layers();
    expected_ = {steered.begin(), steered.end()};
    if (work_.captured.empty()) return;
    read_.resize(size_t(work_.capture->n_layer()) * work_.captured.size() * work_.capture->width());
    for (int layer = 0; layer < work_.capture->n_layer(); ++layer) expected_.insert(layer);
}

void eval_hook::cancel() {
    expected_.clear();
    work_ = {};
}

void eval_hook::finish() {
    const work done = std::move(work_);
    const auto expected = std::move(expected_);
    cancel();
    if (!error_.empty()) throw failure("E_SHAPE", error_, 0, "KV cache advanced by this batch");
    for (int layer : expected) {
        if (seen_.count(layer) == 0) {
            throw failure("E_NO_SITE", std::string("the model's graph never showed ") + hook_site_name(SITE) + " of layer "
                + std::to_string(layer), 0, "KV cache advanced by this batch, unsteered at that layer");
        }
    }
    if (!done.captured.empty()) done.capture->add(done.captured, read_);
}

bool eval_hook::callback(ggml_tensor * tensor, bool ask, void * user_data) {
    auto & hook = *static_cast<eval_hook *>(user_data);
    if (hook.expected_.empty()) return !ask; // nothing is asked for; "go on" where llama.cpp reports a computed node
    const int layer = hook_site_match(SITE, tensor);
    if (hook.expected_.count(layer) == 0) return !ask;
    if (!ask) hook.process(tensor, layer);
    return true;
}

void eval_hook::process(ggml_tensor * tensor, int layer) {
    if (!seen_.insert(layer).second) {
        error_ = std::string("the model's graph shows ") + tensor->name + " twice";
        return;
    }
    // One graph per batch with the rows in the batch's order: the context makes sure of n_ubatch >= n_batch and a unified KV.
    if (tensor->type != GGML_TYPE_F32 || tensor->ne[1] != work_.n_rows || tensor->ne[2] != 1 || tensor->ne[3] != 1) {
        error_ = std::string(tensor->name) + " is " + ggml_type_name(tensor->type) + " with " + std::to_string(tensor->ne[1])
            + " rows; expected f32 with " + std::to_string(work_.n_rows);
        return;
    }
    const int width = int(tensor->ne[0]);
    const int planned = work_.plan.width();
    const int recorded = work_.captured.empty() ? 0 : work_.capture->width();
    if ((planned != 0 && planned != width) || (recorded != 0 && recorded != width)) {
        error_ = std::string(tensor->name) + " has width " + std::to_string(width) + "; expected "
            + std::to_string(planned != 0 ? planned : recorded);
        return;
    }
    std::vector<float> activation(width);
    const auto read  = [&](int32_t row) { ggml_backend_tensor_get(tensor, activation.data(), row * tensor->nb[1], width * sizeof(float)); };
    const auto write = [&](int32_t row) { ggml_backend_tensor_set(tensor, activation.data(), row * tensor->nb[1], width * sizeof(float)); };

    float * kept = read_.data() + size_t(layer) * work_.captured.size() * recorded;
    for (const auto & request : work_.captured) {
        read(request.row);
        kept = std::copy(activation.begin(), activation.end(), kept);
        if (debug_enabled()) log_hit(tensor, request.row, "capture", activation);
    }
    for (int32_t row : work_.plan.rows_at(layer)) {
        read(row);
        work_.plan.apply(layer, row, activation.data());
        write(row);
        if (debug_enabled()) log_hit(tensor, row, "add", activation);
    }
}
