#include "engine/llama_session.h"

#include "engine/cpu_backend.h"
#include "engine/failure.h"
#include "engine/graph_sites.h"
#include "engine/llama_abi.h"
#include "engine/log_sink.h"
#include "engine/passes.h"
#include "engine/work_counts.h"

#include <algorithm>

namespace {

constexpr int32_t MAX_GRAPH_ROWS = 64;

} // namespace

llama_session::llama_session(std::shared_ptr<llama_weights> weights, const session_options & options)
    : weights_(std::move(weights)), options_(options), graph_(std::make_unique<graph_path>(weights_->model())),
      hook_(std::make_unique<eval_hook>(*graph_)) {
    if (options.n_seq_max < 1 || options.n_seq_max > llama_max_parallel_sequences()) {
        throw failure("E_BAD_ARGUMENT", "nSeqMax must be from 1 to " + std::to_string(llama_max_parallel_sequences()));
    }
    check_threads(options.n_threads);
    if (!weights_->is_causal()) throw failure("E_BAD_GGUF", "the model is not a causal language model");
    options_.n_outputs_max = std::max(options.n_outputs_max, options.n_seq_max); // llama.cpp reserves a row per sequence
    log_sink log;
    llama_context_params params = llama_context_default_params();
    params.n_ctx           = options.n_ctx;
    params.n_batch         = options.n_batch;
    params.n_ubatch        = options.n_batch; // one graph per llama_decode, so that rows keep their order
    params.n_seq_max       = options.n_seq_max;
    params.n_outputs_max   = options_.n_outputs_max;
    params.n_threads       = options.n_threads;
    params.n_threads_batch = options.n_threads;
    params.flash_attn_type = options.flash_attn ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = params.type_v = options.kv_f32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
    params.kv_unified      = true;            // sequences share cells: seq_cp is free, and rows are not regrouped
    params.swa_full        = true;            // otherwise a sliding-window model could not copy or drop part of a sequence
    params.op_offload      = false;           // otherwise the scheduler would compute W_O on copies with other names
    params.no_perf         = true;
    if (options.rope_factor > 0) {
        params.rope_scaling_type = options.rope_yarn ? LLAMA_ROPE_SCALING_TYPE_YARN : LLAMA_ROPE_SCALING_TYPE_LINEAR;
        params.rope_freq_scale   = 1 / options.rope_factor;
        params.yarn_ext_factor   = options.rope_yarn ? 1 : 0;
        params.yarn_orig_ctx     = options.rope_original;
    }
    params.cb_eval           = eval_hook::callback;
    params.cb_eval_user_data = hook_.get();
    stop_on_abort(params);
    context_.reset(llama_init_from_model(weights_->model(), params));
    if (!context_) throw failure("E_LLAMA", log.explain("llama.cpp could not create a context"));
    if (llama_get_memory(context_.get()) == nullptr) {
        throw failure("E_BAD_GGUF", "the model has no KV cache: it is not a causal language model");
    }
    options_.n_ctx   = llama_n_ctx(context_.get());
    options_.n_batch = llama_n_batch(context_.get()); // llama.cpp lowers it to n_ctx
    hook_->use(find_sites(context_.get(), weights_->model(), weights_->metadata("general.architecture")));
    if (weights_->uses_device() && options_.path != steering_path::callback) prepare_graph_path();
    threads_.attach(context_.get(), options_.n_threads);
}

// Otherwise, on a device, llama.cpp would reallocate its compute buffers during a generation, and free memory to which descriptors of
// earlier decodes point.
void llama_session::prepare_graph_path() {
    for (hook_site site : {hook_site::attn_out, hook_site::resid_post}) {
        if (fits_graph_path(site, weights_->n_layer() - 1)) enable_slot(graph_path::slot_of(site));
    }
}

void llama_session::enable_slot(graph_path::slot slot) {
    if (graph_->is_enabled(slot)) return;
    graph_->enable(slot, context_.get(), slot == graph_path::slot::attention ? weights_->zero_adapter() : nullptr);
}

void llama_session::set_threads(int32_t n_threads) {
    check_threads(n_threads);
    options_.n_threads = n_threads;
    llama_set_n_threads(context_.get(), n_threads, n_threads);
    threads_.attach(context_.get(), n_threads); // idle threads of a larger pool would still spin
}

bool llama_session::fits_graph_path(hook_site site, int layer) {
    if (!weights_->sites().knows_graph() || !graph_path::has_slot(site, layer)) return false;
    if (graph_path::slot_of(site) == graph_path::slot::block) return !has_control_vector_;
    if (!attention_slot_fits_) attention_slot_fits_ = weights_->has_plain_attention_output() && has_zero_adapter();
    return *attention_slot_fits_;
}

// If the adapter cannot be made, the callback path does the same work.
bool llama_session::has_zero_adapter() const {
    try {
        return weights_->zero_adapter() != nullptr;
    } catch (const failure &) {
        if (options_.path == steering_path::graph) throw;
        return false;
    }
}

void llama_session::choose_paths(eval_hook::work & work, int32_t n_rows) {
    // The graph path holds a row per row of the batch in every layer. For a long prompt that takes too much memory, and a synchronise per
    // layer costs little. Captures are taken before anything is added, which at attn_out only the callback path can do.
    const bool prefers_callback = options_.path == steering_path::callback
        || (options_.path == steering_path::automatic && (n_rows > MAX_GRAPH_ROWS || !work.captures.empty()));
    const auto places = work.terms.places();
    // On the CPU, a node of the graph path can call a function, which may read the activation.
    if (work.terms.operates_anywhere() && !prefers_callback && !weights_->uses_device()) {
        for (hook_site site : {hook_site::attn_out, hook_site::resid_post}) {
            if (places.count(site) == 0) continue;
            for (int layer : places.at(site)) {
                if (fits_graph_path(site, layer) && !work.terms.is_read_at(site, layer)) work.terms.operate_in_graph(site, layer);
            }
        }
    }
    for (const auto & [site, layers] : places) {
        for (int layer : layers) {
            const auto [adds, reads] = work.terms.needs(site, layer);
            const bool fits = fits_graph_path(site, layer) && !work.terms.is_read_at(site, layer);
            if (options_.path == steering_path::graph && (!fits || reads)) {
                throw failure("E_NO_SITE", std::string("the graph path ") + (fits ? "only adds; an operator or a kept norm acts at "
                    : "does not reach ") + hook_site_name(site) + " of layer " + std::to_string(layer) + " of this model");
            }
            const bool is_on_graph = fits && !prefers_callback;
            if (is_on_graph && adds) work.on_graph[site].insert(layer);
            if (!is_on_graph || reads) work.on_callback[site].insert(layer);
        }
    }
    for (const auto & [site, layers] : work.on_graph) enable_slot(graph_path::slot_of(site));
    if (work.on_graph.count(hook_site::head_out) == 0) return;
    for (const auto & vector : work.terms.vectors()) {
        if (vector->site() != hook_site::head_out) continue;
        weights_->start_products(*vector, options_.n_threads);
        vector->wait_for_products();
    }
}

void llama_session::compute(const decode_batch & batch, const std::vector<int32_t> & rows) {
    llama_rows selected(batch, rows);
    log_sink log;
    auto mapped = map_rows(batch, rows);
    ++work_done.decodes;
    work_done.rows        += rows.size();
    work_done.outputs     += mapped.output_rows.size();
    work_done.logit_bytes += mapped.output_rows.size() * size_t(weights_->n_vocab()) * sizeof(float); // to llama.cpp's own buffer
    hook_->start_pass(std::move(mapped));
    has_decoded_ = true;
    int status = 0;
    std::optional<std::string> thrown;
    try {
        status = llama_decode(context_.get(), selected.raw());
        llama_synchronize(context_.get());
        ++work_done.synchronises;
    } catch (const std::exception & error) {
        thrown = error.what();
    } catch (...) {
        thrown = UNREADABLE_ERROR;
    }
    if (thrown) {
        hook_->cancel();
        throw failure("E_LLAMA", log.explain("llama_decode failed: " + *thrown), 0, "unknown: make another context");
    }
    if (status != 0) hook_->cancel();
    if (status == 2) {
        throw failure("E_ABORTED", "the work was stopped before its end", status, weights_->has_whole_sequences()
            ? "the sequences of this batch are unusable: remove them" : "KV cache rolled back to before this batch");
    }
    if (status == 1) {
        throw failure("E_NO_KV_SLOT", "the KV cache of " + std::to_string(options_.n_ctx) + " cells has no room for "
            + std::to_string(rows.size()) + " more", status);
    }
    if (status != 0) throw failure("E_LLAMA", log.explain("llama_decode returned " + std::to_string(status)), status);
    hook_->finish_pass();
}

void llama_session::find_logits(const decode_batch & batch, const std::vector<int32_t> & rows, bool is_only_graph,
                                std::vector<const float *> & logits_of_row) {
    const size_t  n_vocab = size_t(weights_->n_vocab());
    const float * next    = nullptr;
    for (int32_t row : rows) {
        if (batch.outputs[row] == 0) continue;
        if (next == nullptr) {
            next = llama_get_logits(context_.get()); // all rows of the graph that have them, in its order
            ++work_done.synchronises;                // llama.cpp's own
        }
        if (next == nullptr) throw failure("E_LLAMA", "llama.cpp has no logits for row " + std::to_string(row));
        logits_of_row[row] = next;
        if (!is_only_graph) { // llama.cpp keeps those of its last graph only
            kept_logits_.emplace_back(next, next + n_vocab);
            logits_of_row[row] = kept_logits_.back().data();
            work_done.logit_bytes += n_vocab * sizeof(float);
        }
        next += n_vocab;
    }
}

void llama_session::decode(const decode_batch & batch, steering_terms terms, std::vector<capture_request> captures) {
    check(batch);
    for (const auto & vector : terms.vectors()) weights_->check_own(vector->model_id());
    for (const auto & request : captures) weights_->check_own(request.capture->model_id());
    for (const auto & reading : terms.gates()) weights_->check_own(reading.gate->model_id());
    check_reads(batch, captures, terms.gates());
    const auto n = batch.tokens.size();
    logits_of_row_.clear();
    kept_logits_.clear();
    gates_.clear();
    eval_hook::work work;
    work.terms     = std::move(terms);
    work.captures = std::move(captures);
    choose_paths(work, int32_t(n));
    hook_->start(std::move(work));
    const auto passes = passes_of(batch.seq_ids, weights_->has_whole_sequences());
    std::vector<const float *> logits_of_row(n);
    for (const auto & rows : passes) {
        compute(batch, rows);
        find_logits(batch, rows, passes.size() == 1, logits_of_row);
    }
    gates_ = hook_->finish();
    threads_.free_former();
    logits_of_row_ = std::move(logits_of_row);
}

const float * llama_session::logits(int32_t row) const {
    if (row < 0 || size_t(row) >= logits_of_row_.size() || logits_of_row_[row] == nullptr) {
        throw failure("E_SHAPE", "row " + std::to_string(row) + " has no logits in the last decode");
    }
    return logits_of_row_[row];
}

void llama_session::set_control_vector(const std::vector<float> & data) {
    const size_t expected = size_t(weights_->n_layer() - 1) * weights_->n_embd();
    if (!data.empty() && data.size() != expected) {
        throw failure("E_SHAPE", "a control vector of this model has " + std::to_string(expected) + " values");
    }
    // Later, llama.cpp would free compute buffers (see prepare_graph_path), and the graph path's vectors would be lost.
    if (has_decoded_) throw failure("E_BAD_ARGUMENT", "a control vector is set before the first decode of its context");
    graph_->release_block();
    has_control_vector_ = !data.empty();
    const float * values = has_control_vector_ ? data.data() : nullptr;
    llama_set_adapter_cvec(context_.get(), values, data.size(), weights_->n_embd(), 1, weights_->n_layer() - 1);
}

void llama_session::kv_copy(int32_t from, int32_t to, llama_pos begin, llama_pos end) {
    check_sequence(from);
    check_sequence(to);
    const auto memory = llama_get_memory(context_.get());
    if (!weights_->has_whole_sequences()) return llama_memory_seq_cp(memory, from, to, begin, end);
    if (begin > 0 || (end >= 0 && end <= llama_memory_seq_pos_max(memory, from))) {
        throw failure("E_BAD_ARGUMENT", "this model keeps a state per sequence: a sequence can be copied as a whole, not in part");
    }
    llama_memory_seq_cp(memory, from, to, -1, -1);
}

void llama_session::kv_remove(int32_t seq_id, llama_pos begin, llama_pos end) {
    check_sequence(seq_id);
    const bool is_whole = begin <= 0 && end < 0;
    if (!is_whole && weights_->has_whole_sequences()) {
        throw failure("E_BAD_ARGUMENT", "this model keeps a state per sequence: a sequence can be removed as a whole, not in part");
    }
    if (!llama_memory_seq_rm(llama_get_memory(context_.get()), seq_id, is_whole ? -1 : begin, end)) {
        throw failure("E_LLAMA", "llama.cpp could not remove the cells of sequence " + std::to_string(seq_id));
    }
}

void llama_session::kv_clear() {
    llama_memory_clear(llama_get_memory(context_.get()), true); // otherwise a cell that is not finite would stay so
}
