#pragma once
#include "engine/activation_gate.h"
#include "engine/hook_site.h"
#include "engine/steering_vector.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

// What a term does with its direction, in the order in which they act at one place (docs/method.md §4, Operators).
enum class steering_operator : int8_t { add, ablate, project, clamp };
constexpr int8_t N_OPERATORS = 4;

// A gate that is read at a row of one decode.
struct gate_reading {
    int32_t                                row;
    std::shared_ptr<const activation_gate> gate;
    bool                                   was_open; // at the row's last token
    bool                                   is_read     = false;
    double                                 probability = 0;
    float                                  value       = 0;
};

// All terms of one decode: "add alpha times this vector's direction of this step to this row of the batch", or do something else with
// it; and the gates that multiply some of these alphas once they are read. What is added is kept in a canonical order, so that the sum does
// not depend on the caller's; other operators keep the caller's order among their kind. An alpha of 0 changes nothing, whatever the
// operator.
class steering_terms {
public:
    static constexpr int32_t NO_GATE = -1;

    // `keeps_norm`: wherever the vector acts, the activation keeps the norm that it had. gate: the index of one of the row's gates, or
    // NO_GATE. Throws E_SHAPE for a gate of another row.
    void add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha,
             steering_operator kind = steering_operator::add, bool keeps_norm = false, int32_t gate = NO_GATE);
    // Before the terms that name them.
    void add_gate(gate_reading gate) { gates_.push_back(std::move(gate)); }

    bool empty() const { return rows_.empty(); }
    // Every site and layer that a term changes.
    std::map<hook_site, std::set<int>> places() const;
    // The vectors of all terms.
    std::set<std::shared_ptr<const steering_vector>> vectors() const;
    // Rows (ascending) that have terms.
    std::vector<int32_t> rows() const;
    const std::vector<gate_reading> & gates() const { return gates_; }
    std::vector<gate_reading>       & gates() { return gates_; }
    // True where a gate reads the node at which the graph path adds, so that it would see the sum: at resid_post.
    bool is_read_at(hook_site site, int layer) const;

    // Adds the row's additions at (site, layer) to sum [width], in double; `as_products`: times W_O, for head_out. False if there are none.
    // Like apply(), throws E_NO_SITE where a gate of theirs has not been read.
    bool accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const;

    // From now on, a node of the graph does at (site, layer) what depends on the activation.
    void operate_in_graph(hook_site site, int layer) { in_graph_.insert({site, layer}); }
    // True if what the row's terms do at (site, layer) depends on its activation there.
    bool operates(hook_site site, int layer, int32_t row) const;
    // True if only the callback path can do what the row's terms do at (site, layer). At head_out that holds also if it holds for attn_out,
    // which must see what was added before it.
    bool reads(hook_site site, int layer, int32_t row) const;
    // True if some row's terms depend on an activation somewhere.
    bool operates_anywhere() const { return operates_anywhere_; }
    // Whether at (site, layer) some row is only added to, and whether some row is read.
    struct place_needs { bool adds; bool reads; };
    place_needs needs(hook_site site, int layer) const;
    // True if a term of the row acts at (site, layer).
    bool acts(hook_site site, int layer, int32_t row) const;
    // Applies all the row's terms at (site, layer) to its activation, in double.
    void apply(hook_site site, int layer, int32_t row, std::vector<float> & activation) const;

private:
    struct part {
        float   alpha;
        int32_t gate;
        bool    keeps_norm;
    };
    struct term {
        std::shared_ptr<const steering_vector> vector;
        int32_t                                step;
        std::vector<part>                      parts; // alpha is their sum
        steering_operator                      kind;

        bool acts(hook_site site, int layer) const;
    };
    struct row_terms {
        std::map<std::pair<uint64_t, int32_t>, term> additions; // by the vector's serial and the step
        std::vector<term>                            others;    // in the order in which they act
    };
    const row_terms * of(int32_t row) const;
    // Times the values of their gates.
    double alpha_of(const term & term) const;
    double alpha_of(const part & part) const;
    static bool operates_at(hook_site site, int layer, const row_terms & terms);
    static bool keeps_norm(hook_site site, int layer, const row_terms & terms);

    std::map<int32_t, row_terms> rows_;
    std::vector<gate_reading>    gates_;
    bool                         operates_anywhere_ = false;
    std::set<site_place>         in_graph_;
};
