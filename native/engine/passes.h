#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

// The rows of the graphs that compute a batch, each in the graph's order.
//
// Attention alone takes all rows at once, in the batch's order. Memory with a state per sequence (has_states) computes equally many
// tokens of each sequence, sequence by sequence, and only sequences that follow one another; llama.cpp would regroup other batches,
// over several graphs. What it is given in this order it leaves as it is.
std::vector<std::vector<int32_t>> passes_of(const std::vector<int32_t> & seq_ids, bool has_states);
