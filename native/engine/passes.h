#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

// The rows of the graphs that compute a batch, each in the graph's order.
//
// Pure attention takes all rows at once, in the batch's order. Memory with a state per sequence (has_states) takes the same number of
// tokens of each sequence, sequence by sequence, and only consecutive sequences. llama.cpp would regroup any other batch over several
// graphs; it leaves a batch in this order as it is.
std::vector<std::vector<int32_t>> passes_of(const std::vector<int32_t> & seq_ids, bool has_states);
