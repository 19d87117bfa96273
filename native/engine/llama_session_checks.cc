// What a session checks before llama.cpp sees a batch.
#include "engine/failure.h"
#include "engine/llama_session.h"

void llama_session::check_sequence(int32_t seq_id) const {
    if (seq_id < 0 || uint32_t(seq_id) >= options_.n_seq_max) {
        throw failure("E_SHAPE", "sequence " + std::to_string(seq_id) + " is outside 0.." + std::to_string(options_.n_seq_max - 1));
    }
}

void llama_session::check(const decode_batch & batch) const {
    const size_t n = batch.tokens.size();
    if (n == 0) throw failure("E_SHAPE", "a batch needs at least one token");
    if (n > options_.n_batch) {
        throw failure("E_SHAPE", std::to_string(n) + " tokens in one batch; the context takes " + std::to_string(options_.n_batch));
    }
    if (batch.positions.size() != n || batch.seq_ids.size() != n || batch.outputs.size() != n) {
        throw failure("E_SHAPE", "tokens, positions, seqIds and outputs differ in length");
    }
    const int32_t n_vocab = weights_->n_vocab();
    uint32_t n_outputs = 0;
    for (size_t i = 0; i < n; ++i) {
        if (batch.tokens[i] < 0 || batch.tokens[i] >= n_vocab) {
            throw failure("E_BAD_TOKEN", "token " + std::to_string(batch.tokens[i]) + " is outside the vocabulary of "
                + std::to_string(n_vocab));
        }
        check_sequence(batch.seq_ids[i]);
        if (batch.positions[i] < 0) throw failure("E_SHAPE", "negative position");
        if (uint32_t(batch.positions[i]) >= options_.n_ctx) {
            throw failure("E_CONTEXT_FULL", "position " + std::to_string(batch.positions[i]) + " is beyond the context of "
                + std::to_string(options_.n_ctx) + " tokens");
        }
        n_outputs += batch.outputs[i] != 0;
    }
    if (n_outputs > options_.n_outputs_max) {
        throw failure("E_SHAPE", std::to_string(n_outputs) + " output rows in one batch; the context takes "
            + std::to_string(options_.n_outputs_max));
    }
}

void llama_session::check_reads(const decode_batch & batch, const std::vector<capture_request> & captures,
                                const std::vector<gate_reading> & gates) const {
    const auto check = [&](int32_t row, hook_site site, int layer) {
        if (batch.outputs[row] != 0 || !weights_->sites().find(site, layer)->is_cut) return;
        throw failure("E_SHAPE", "row " + std::to_string(row) + " has no logits: in layer " + std::to_string(layer) + " such a row has no "
            + hook_site_name(site));
    };
    for (const auto & [capture, rows] : captures) {
        for (int layer : capture->layers()) {
            for (const auto & request : rows) check(request.row, capture->site(), layer);
        }
    }
    for (const auto & reading : gates) check(reading.row, reading.gate->place().first, reading.gate->place().second);
}
