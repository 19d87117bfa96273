#pragma once
#include "engine/activation_capture.h"
#include "engine/steering_plan.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

struct ggml_tensor;

// The scheduler's eval callback: reads and changes hook-site nodes while a graph is computed.
// llama.cpp ignores what the callback returns as failure, so errors are latched here and raised by finish().
class eval_hook {
public:
    // Rows of the batch about to be decoded, what to add to them and what to record of them.
    struct work {
        int32_t                                      n_rows = 0;
        steering_plan                                plan;
        activation_capture *                         capture = nullptr;
        std::vector<activation_capture::row_request> captured;
    };

    void start(work next);
    // After a decode that succeeded: throws the latched error, or E_NO_SITE when the graph never showed a layer that
    // was asked for; otherwise hands the captured rows over.
    void finish();
    // After a decode that failed: nothing of it is kept.
    void cancel();

    // Signature of ggml_backend_sched_eval_callback; user_data is the eval_hook.
    static bool callback(ggml_tensor * tensor, bool ask, void * user_data);

private:
    void process(ggml_tensor * tensor, int layer);

    work               work_;
    std::set<int>      expected_; // layers that must be seen; empty between decodes
    std::set<int>      seen_;
    std::vector<float> read_; // captured rows of this decode [n_layer, captured, width]
    std::string        error_;
};
