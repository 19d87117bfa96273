#include "engine/passes.h"

#include <map>
#include <numeric>

std::vector<std::vector<int32_t>> passes_of(const std::vector<int32_t> & seq_ids, bool has_states) {
    std::map<int32_t, std::vector<int32_t>> rows_of_sequence;
    for (std::size_t row = 0; row < seq_ids.size(); ++row) rows_of_sequence[seq_ids[row]].push_back(int32_t(row));
    if (!has_states || rows_of_sequence.size() == 1) {
        std::vector<int32_t> all(seq_ids.size());
        std::iota(all.begin(), all.end(), 0);
        return {all};
    }
    std::vector<std::vector<int32_t>> passes;
    int32_t previous = -2; // sequence of the last row, in a pass with one row per sequence
    for (const auto & [sequence, rows] : rows_of_sequence) {
        if (rows.size() == 1 && sequence == previous + 1) passes.back().push_back(rows.front());
        else passes.push_back(rows);
        previous = rows.size() == 1 ? sequence : -2;
    }
    return passes;
}
