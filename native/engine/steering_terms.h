#pragma once
#include "engine/hook_site.h"
#include "engine/steering_vector.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

// All terms of one decode: "add alpha times this vector's direction of this step to this row of the batch". Kept in a canonical order,
// so that the sum does not depend on the caller's order.
class steering_terms {
public:
    void add(int32_t row, std::shared_ptr<const steering_vector> vector, int32_t step, float alpha);

    bool empty() const { return rows_.empty(); }
    // Every site and layer that a term changes.
    std::map<hook_site, std::set<int>> places() const;
    // The vectors of all terms.
    std::set<std::shared_ptr<const steering_vector>> vectors() const;
    // Rows (ascending) that have terms.
    std::vector<int32_t> rows() const;

    // Adds the row's terms at (site, layer) to sum [width], in double; `as_products`: times W_O, for head_out. False if there are none.
    bool accumulate(hook_site site, int layer, int32_t row, bool as_products, std::vector<double> & sum) const;

private:
    struct term {
        std::shared_ptr<const steering_vector> vector;
        int32_t                                step;
        double                                 alpha;
    };
    // row -> (serial of the vector, step) -> term
    std::map<int32_t, std::map<std::pair<uint64_t, int32_t>, term>> rows_;
};
