#pragma once
#include "engine/activation_capture.h"
#include "engine/graph_path.h"
#include "engine/hook_site.h"
#include "engine/steering_terms.h"

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

// The scheduler's eval callback. It drives the graph path, and it is the callback path: it reads and changes the nodes of hook sites
// once they are computed. llama.cpp ignores a failure that the callback returns, so errors are kept here until finish_pass() throws them.
class eval_hook {
public:
    // A batch: what to add to its rows and what to record of them.
    struct work {
        steering_terms                                terms;
        std::vector<capture_request>                  captures;
        std::map<hook_site, std::set<int>>            on_graph;    // places that the graph path steers
        std::map<hook_site, std::set<int>>            on_callback; // places that the callback path steers
    };

    explicit eval_hook(graph_path & graph) : graph_(graph) {}

    // Sets where the sites are in the context's graphs: once, before its first decode.
    void use(site_map sites) { sites_ = std::move(sites); }

    void start(work next);
    // Before each graph that computes rows of the batch.
    void start_pass(batch_rows rows);
    // After a graph was computed: throws the error that was kept, or E_NO_SITE when the graph never showed a requested place.
    void finish_pass();
    // After the last graph: hands over the captured rows; returns what the gates have read.
    std::vector<gate_reading> finish();
    // After a failed decode: keeps nothing of it.
    void cancel();

    // Signature of ggml_backend_sched_eval_callback; user_data is the eval_hook.
    static bool callback(ggml_tensor * tensor, bool ask, void * user_data);

private:
    // The expected place whose node `tensor` is.
    const site_place * find(const ggml_tensor * tensor) const;
    void process(ggml_tensor * tensor, const site_place & at);
    void capture(const ggml_tensor * tensor, const site_place & at, const std::vector<int32_t> & node_rows);
    void add_steered_heads(std::vector<float> & activation, const site_place & at, int32_t row) const;
    void read_gates(const ggml_tensor * tensor, const site_place & at, const std::vector<int32_t> & node_rows);
    void steer(ggml_tensor * tensor, const site_place & at, const std::vector<int32_t> & node_rows);
    void check_attention_input(const ggml_tensor * tensor);
    void check_seen() const;

    graph_path &                    graph_;
    site_map                        sites_;
    work                            work_;
    batch_rows                      rows_;
    std::set<site_place>            expected_;    // what the callback must see; empty between decodes
    std::set<site_place>            seen_;
    uint64_t                        n_nodes_ = 0; // asked about in this pass
    std::map<int, const ggml_tensor *> head_out_;    // nodes taken for the input of W_O, until its product is seen
    std::vector<std::vector<float>> read_;        // per capture: rows of this decode [layers, requests, width]
    std::exception_ptr              error_;
};
