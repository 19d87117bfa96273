#pragma once
#include "engine/activation_capture.h"
#include "engine/graph_path.h"
#include "engine/hook_site.h"
#include "engine/steering_plan.h"

#include <cstdint>
#include <exception>
#include <map>
#include <set>
#include <vector>

struct ggml_tensor;

// How vectors are added: see graph_path.h, and eval_hook for the callback path.
enum class steering_path {
    automatic, // the graph path where the site, the architecture and the batch allow it, else the callback path
    graph,     // the graph path or E_NO_SITE
    callback,
};

// The scheduler's eval callback. It feeds the graph path, and is the callback path: it reads and changes the nodes of
// hook sites once they are computed.
// llama.cpp ignores what the callback returns as failure, so errors are latched here and raised by finish().
class eval_hook {
public:
    // A decode: what to add to the rows of its batch and what to record of them.
    struct work {
        batch_rows                                    rows;
        steering_plan                                 plan;
        std::vector<capture_request>                  captures;
        std::map<hook_site, std::set<int>>            on_graph;    // places that the graph path steers
        std::map<hook_site, std::set<int>>            on_callback; // places that the callback path steers
    };

    eval_hook(const site_map & sites, graph_path & graph, int n_layer) : sites_(sites), graph_(graph), n_layer_(n_layer) {}

    void start(work next);
    // After a decode that succeeded: throws the latched error, or E_NO_SITE when the graph never showed a place that
    // was asked for; otherwise hands the captured rows over.
    void finish();
    // After a decode that failed: nothing of it is kept.
    void cancel();

    // How often the decode since start() stopped in the middle of the graph, to synchronise and copy.
    int stops() const { return stops_; }

    // Signature of ggml_backend_sched_eval_callback; user_data is the eval_hook.
    static bool callback(ggml_tensor * tensor, bool ask, void * user_data);

private:
    using place = std::pair<hook_site, int>;

    // The expected place whose node `tensor` is.
    const place * find(const ggml_tensor * tensor) const;
    void process(ggml_tensor * tensor, const place & at);
    void capture(const ggml_tensor * tensor, const place & at, const std::vector<int32_t> & node_rows);
    void steer(ggml_tensor * tensor, const place & at, const std::vector<int32_t> & node_rows);
    void check_attention_input(const ggml_tensor * tensor);
    void check_seen() const;

    const site_map &                sites_;
    graph_path &                    graph_;
    const int                       n_layer_;
    work                            work_;
    std::vector<hook_site>          sites_asked_; // sites of expected_
    std::set<place>                 expected_;    // what the callback must see; empty between decodes
    std::set<place>                 seen_;
    int                             stops_ = 0;
    std::map<int, const void *>     head_out_;    // nodes taken for the input of W_O, until W_O's product is seen
    std::vector<std::vector<float>> read_;        // per capture: rows of this decode [layers, requests, width]
    std::exception_ptr              error_;
};
