#include "engine/decode_batch.h"

#include <cstddef>

std::vector<int32_t> batch_rows::rows_of_node(int64_t n_node_rows) const {
    const auto & shown = n_node_rows == n_rows ? rows : output_rows;
    if (n_node_rows != int64_t(shown.size())) return {};
    std::vector<int32_t> map(n_batch, -1);
    for (size_t i = 0; i < shown.size(); ++i) map[shown[i]] = int32_t(i);
    return map;
}

llama_rows::llama_rows(const decode_batch & batch, const std::vector<int32_t> & rows) : n_seq_id_(rows.size(), 1) {
    for (int32_t row : rows) {
        tokens_.push_back(batch.tokens[row]);
        positions_.push_back(batch.positions[row]);
        seq_ids_.push_back(batch.seq_ids[row]);
        outputs_.push_back(batch.outputs[row]);
    }
    for (auto & seq_id : seq_ids_) seq_id_of_row_.push_back(&seq_id);
}

llama_batch llama_rows::raw() {
    llama_batch raw{};
    raw.n_tokens = int32_t(tokens_.size());
    raw.token    = tokens_.data();
    raw.pos      = positions_.data();
    raw.n_seq_id = n_seq_id_.data();
    raw.seq_id   = seq_id_of_row_.data();
    raw.logits   = outputs_.data();
    return raw;
}

batch_rows map_rows(const decode_batch & batch, const std::vector<int32_t> & rows) {
    batch_rows mapped;
    mapped.n_batch = int32_t(batch.tokens.size());
    mapped.n_rows  = int32_t(rows.size());
    mapped.rows    = rows;
    for (int32_t row : rows) {
        if (batch.outputs[row] != 0) mapped.output_rows.push_back(row);
    }
    return mapped;
}
