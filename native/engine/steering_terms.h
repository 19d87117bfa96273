#pragma once
#include "engine/activation_gate.h"
#include "engine/hook_site.h"
#include "engine/steering_vector.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

// A gate that is read at a row of one decode.
struct gate_reading {
    int32_t                                row;
    std::shared_ptr<const activation_gate> gate;
    bool                                   was_open; // at the row's last token
    bool                                   is_read     = false;
    double                                 probability = 0;
    float                                  value       = 0;
};

// All terms of one decode: "add alpha times this vector's direction of this step to this row of the batch", and the gates that multiply
// some of these alphas once they are read. Kept in a canonical order, so that the sum does not depend on the caller's order.
class steering_terms {
public:
    static constexpr int32_t NO_GATE = -1;

    // gate: the index of one of the row's gates, or NO_GATE. Throws E_SHAPE for a gate of another row.
    void add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha, int32_t gate = NO_GATE);
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

    // Adds the row's terms at (site, layer) to sum [width], in double; `as_products`: times W_O, for head_out. False if there are none.
    // Throws E_NO_SITE where a gate of theirs has not been read.
    bool accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const;

private:
    struct part {
        float   alpha;
        int32_t gate;
    };
    struct term {
        std::shared_ptr<const steering_vector> vector;
        int32_t                                step;
        std::vector<part>                      parts;
    };
    double alpha_of(const term & term) const;

    // row -> (serial of the vector, step) -> term
    std::map<int32_t, std::map<std::pair<uint64_t, int32_t>, term>> rows_;
    std::vector<gate_reading>                                       gates_;
};
