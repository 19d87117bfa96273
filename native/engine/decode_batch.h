#pragma once
#include "llama.h"

#include <cstdint>
#include <vector>

// Rows of one decode. All vectors have the same length.
struct decode_batch {
    std::vector<llama_token> tokens;
    std::vector<llama_pos>   positions;
    std::vector<int32_t>     seq_ids;
    std::vector<int8_t>      outputs; // 1 = compute logits
};

// How the rows of a batch map to the rows of a node in one graph, which may compute only some of them.
struct batch_rows {
    int32_t              n_batch = 0;
    int32_t              n_rows  = 0;
    std::vector<int32_t> rows;        // in the graph's order
    std::vector<int32_t> output_rows; // those with logits

    // The row of the node for each row of the batch, -1 where the node has none; empty when the node has another shape.
    std::vector<int32_t> rows_of_node(int64_t n_node_rows) const;
};

// Some rows of a batch as llama.cpp takes them, in the order given.
class llama_rows {
public:
    llama_rows(const decode_batch & batch, const std::vector<int32_t> & rows);

    // Valid as long as this object, which cannot be copied.
    llama_batch raw();
    llama_rows(const llama_rows &) = delete;
    llama_rows & operator=(const llama_rows &) = delete;

private:
    std::vector<llama_token>    tokens_;
    std::vector<llama_pos>      positions_;
    std::vector<int32_t>        n_seq_id_;
    std::vector<llama_seq_id>   seq_ids_;
    std::vector<llama_seq_id *> seq_id_of_row_;
    std::vector<int8_t>         outputs_;
};

batch_rows map_rows(const decode_batch & batch, const std::vector<int32_t> & rows);
