#include "engine/llama_session.h"

#include "engine/log_sink.h"
#include "failure.h"
#include "ggml-cpu.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace {

ggml_backend_reg_t cpu_registry() {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return device == nullptr ? nullptr : ggml_backend_dev_backend_reg(device);
}

template <typename Function> Function cpu_function(const char * name) {
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(cpu_registry(), name));
}

std::string joined(const std::string & reason, const std::string & detail) {
    return detail.empty() ? reason : reason + ": " + detail;
}

} // namespace

void load_backends(const std::string & folder, const std::vector<std::string> & plugins) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    log_sink::install();
    // node-llama-cpp in the same process may have loaded them: a second copy would list every device twice.
    if (cpu_registry() == nullptr) {
        // Before llama_backend_init, which would otherwise look beside the executable and in the working folder.
        ggml_backend_load_all_from_path(folder.c_str());
        for (const auto & plugin : plugins) ggml_backend_load(plugin.c_str());
        if (cpu_registry() == nullptr) throw failure("E_NATIVE", "no CPU back end of ggml was found in " + folder);
    }
    static bool initialised = false;
    if (!initialised) llama_backend_init();
    initialised = true;
}

llama_weights::llama_weights(const std::string & path, int32_t n_gpu_layers, bool use_mmap)
    : model_(nullptr, llama_model_free) {
    log_sink log;
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = n_gpu_layers;
    if (!use_mmap) params.load_mode = LLAMA_LOAD_MODE_NONE;
    model_.reset(llama_model_load_from_file(path.c_str(), params));
    if (!model_) throw failure("E_BAD_GGUF", joined("llama.cpp cannot load " + path, log.first_error()));
    if (!llama_model_has_decoder(model_.get()) || llama_model_has_encoder(model_.get())) {
        throw failure("E_BAD_GGUF", path + " is not a causal language model");
    }
}

int32_t llama_weights::d_head() const {
    const std::string length = metadata(metadata("general.architecture") + ".attention.value_length");
    if (!length.empty()) return std::atoi(length.c_str());
    const int32_t n_head = llama_model_n_head(model_.get());
    return n_head == 0 ? 0 : llama_model_n_embd(model_.get()) / n_head;
}

int32_t llama_weights::head_out_width() const {
    return d_head() * llama_model_n_head(model_.get());
}

std::string llama_weights::metadata(const std::string & key) const {
    const int32_t length = llama_model_meta_val_str(model_.get(), key.c_str(), nullptr, 0);
    if (length < 0) return "";
    std::string value(size_t(length) + 1, '\0');
    llama_model_meta_val_str(model_.get(), key.c_str(), value.data(), value.size());
    value.resize(length);
    return value;
}

std::string llama_weights::tokenizer_hash() const {
    uint64_t hash = 0xcbf29ce484222325ull;
    const auto mix = [&hash](const void * data, size_t size) {
        const auto * bytes = static_cast<const unsigned char *>(data);
        for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3ull;
    };
    const int32_t n = n_vocab();
    for (llama_token token = 0; token < n; ++token) {
        const char * text = llama_vocab_get_text(vocab(), token);
        mix(text, std::strlen(text) + 1);
        const auto attributes = int32_t(llama_vocab_get_attr(vocab(), token));
        mix(&attributes, sizeof(attributes));
    }
    char text[32];
    std::snprintf(text, sizeof(text), "fnv1a:%016llx", (unsigned long long) hash);
    return text;
}

std::vector<llama_token> llama_weights::tokenise(const std::string & text, bool add_special, bool parse_special) const {
    std::vector<llama_token> tokens(text.size() + 8);
    int32_t n = llama_tokenize(vocab(), text.data(), int32_t(text.size()), tokens.data(), int32_t(tokens.size()), add_special, parse_special);
    if (n < 0) {
        tokens.resize(size_t(-n));
        n = llama_tokenize(vocab(), text.data(), int32_t(text.size()), tokens.data(), int32_t(tokens.size()), add_special, parse_special);
    }
    if (n < 0) throw failure("E_LLAMA", "the text could not be tokenised", n);
    tokens.resize(size_t(n));
    return tokens;
}

std::string llama_weights::detokenise(const std::vector<llama_token> & tokens) const {
    std::string bytes;
    std::vector<char> piece(64);
    for (llama_token token : tokens) {
        if (token < 0 || token >= n_vocab()) throw failure("E_BAD_TOKEN", "token " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(n_vocab()));
        int32_t n = llama_token_to_piece(vocab(), token, piece.data(), int32_t(piece.size()), 0, false);
        if (n < 0) {
            piece.resize(size_t(-n));
            n = llama_token_to_piece(vocab(), token, piece.data(), int32_t(piece.size()), 0, false);
        }
        bytes.append(piece.data(), size_t(std::max(n, 0)));
    }
    return bytes;
}

llama_session::llama_session(std::shared_ptr<llama_weights> weights, const session_options & options)
    : weights_(std::move(weights)), options_(options), context_(nullptr, llama_free) {
    if (options.n_seq_max < 1 || options.n_seq_max > llama_max_parallel_sequences()) {
        throw failure("E_BAD_ARGUMENT", "nSeqMax must be from 1 to " + std::to_string(llama_max_parallel_sequences()));
    }
    if (options.n_threads < 1 || options.n_threads > GGML_MAX_N_THREADS) {
        throw failure("E_BAD_ARGUMENT", "nThreads must be from 1 to " + std::to_string(GGML_MAX_N_THREADS));
    }
    options_.n_outputs_max = std::max(options.n_outputs_max, options.n_seq_max); // llama.cpp reserves a row per sequence
    log_sink log;
    llama_context_params params = llama_context_default_params();
    params.n_ctx           = options.n_ctx;
    params.n_batch         = options.n_batch;
    params.n_ubatch        = options.n_batch; // one graph per decode: rows keep the batch's order
    params.n_seq_max       = options.n_seq_max;
    params.n_outputs_max   = options_.n_outputs_max;
    params.n_threads       = options.n_threads;
    params.n_threads_batch = options.n_threads;
    params.flash_attn_type = options.flash_attn ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = params.type_v = options.kv_f32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
    params.kv_unified      = true;            // sequences share cells, so seq_cp is free and rows are not regrouped
    params.swa_full        = true;            // or a sliding-window model could not copy and drop part of a sequence
    params.no_perf         = true;
    params.cb_eval           = eval_hook::callback;
    params.cb_eval_user_data = &hook_;
    params.abort_callback      = [](void * flag) { return static_cast<std::atomic<bool> *>(flag)->load(); };
    params.abort_callback_data = &abort_;
    context_.reset(llama_init_from_model(weights_->model(), params));
    if (!context_) throw failure("E_LLAMA", joined("llama.cpp could not create a context", log.first_error()));
    options_.n_ctx   = llama_n_ctx(context_.get());
    options_.n_batch = llama_n_batch(context_.get()); // llama.cpp lowers it to n_ctx
    attach_threadpool();
}

llama_session::~llama_session() {
    context_.reset();
    if (threadpool_ != nullptr) cpu_function<void (*)(ggml_threadpool *)>("ggml_threadpool_free")(threadpool_);
}

void llama_session::attach_threadpool() {
    // Without a pool of its own every graph view starts and joins threads: 2x slower with a hook on each layer.
    const auto create = cpu_function<ggml_threadpool * (*)(ggml_threadpool_params *)>("ggml_threadpool_new");
    if (create == nullptr) return;
    ggml_threadpool_params params = ggml_threadpool_params_default(options_.n_threads);
    threadpool_ = create(&params);
    if (threadpool_ != nullptr) llama_attach_threadpool(context_.get(), threadpool_, nullptr);
}

void llama_session::check_sequence(int32_t seq_id) const {
    if (seq_id < 0 || uint32_t(seq_id) >= options_.n_seq_max) {
        throw failure("E_SHAPE", "sequence " + std::to_string(seq_id) + " is outside 0.." + std::to_string(options_.n_seq_max - 1));
    }
}

void llama_session::check(const decode_batch & batch) const {
    const size_t n = batch.tokens.size();
    if (n == 0) throw failure("E_SHAPE", "a batch needs at least one token");
    if (n > options_.n_batch) throw failure("E_SHAPE", std::to_string(n) + " tokens in one batch; the context takes " + std::to_string(options_.n_batch));
    if (batch.positions.size() != n || batch.seq_ids.size() != n || batch.outputs.size() != n) {
        throw failure("E_SHAPE", "tokens, positions, seqIds and outputs differ in length");
    }
    const int32_t n_vocab = weights_->n_vocab();
    uint32_t n_outputs = 0;
    for (size_t i = 0; i < n; ++i) {
        if (batch.tokens[i] < 0 || batch.tokens[i] >= n_vocab) {
            throw failure("E_BAD_TOKEN", "token " + std::to_string(batch.tokens[i]) + " is outside the vocabulary of " + std::to_string(n_vocab));
        }
        check_sequence(batch.seq_ids[i]);
        if (batch.positions[i] < 0) throw failure("E_SHAPE", "negative position");
        if (uint32_t(batch.positions[i]) >= options_.n_ctx) {
            throw failure("E_CONTEXT_FULL", "position " + std::to_string(batch.positions[i]) + " is beyond the context of " + std::to_string(options_.n_ctx) + " tokens");
        }
        n_outputs += batch.outputs[i] != 0;
    }
    if (n_outputs > options_.n_outputs_max) {
        throw failure("E_SHAPE", std::to_string(n_outputs) + " output rows in one batch; the context takes " + std::to_string(options_.n_outputs_max));
    }
}

void llama_session::decode(const decode_batch & batch, steering_plan plan, std::vector<activation_capture::row_request> captured) {
    check(batch);
    const auto n = int32_t(batch.tokens.size());
    std::vector<int32_t>        n_seq_id(n, 1);
    std::vector<llama_seq_id>   seq_ids(batch.seq_ids.begin(), batch.seq_ids.end());
    std::vector<llama_seq_id *> seq_id_of_row(n);
    for (int32_t i = 0; i < n; ++i) seq_id_of_row[i] = &seq_ids[i];
    auto tokens    = batch.tokens;
    auto positions = batch.positions;
    auto outputs   = batch.outputs;
    llama_batch raw{};
    raw.n_tokens = n;
    raw.token    = tokens.data();
    raw.pos      = positions.data();
    raw.n_seq_id = n_seq_id.data();
    raw.seq_id   = seq_id_of_row.data();
    raw.logits   = outputs.data();

    log_sink log;
    last_outputs_.clear();
    eval_hook::work work;
    work.n_rows   = n;
    work.plan     = std::move(plan);
    work.capture  = captured.empty() ? nullptr : &capture();
    work.captured = std::move(captured);
    hook_.start(std::move(work));
    const int status = llama_decode(context_.get(), raw);
    llama_synchronize(context_.get());
    if (status != 0) hook_.cancel();
    if (status == 2) {
        throw failure("E_ABORTED", "decode was aborted", status, "KV cache rolled back to before this batch");
    }
    if (status == 1) throw failure("E_NO_KV_SLOT", "the KV cache of " + std::to_string(options_.n_ctx) + " cells has no room for " + std::to_string(n) + " more", status);
    if (status != 0) throw failure("E_LLAMA", joined("llama_decode returned " + std::to_string(status), log.first_error()), status);
    hook_.finish();
    last_outputs_ = batch.outputs;
}

const float * llama_session::logits(int32_t row) const {
    if (row < 0 || size_t(row) >= last_outputs_.size() || last_outputs_[row] == 0) {
        throw failure("E_SHAPE", "row " + std::to_string(row) + " has no logits in the last decode");
    }
    const float * values = llama_get_logits_ith(context_.get(), row);
    if (values == nullptr) throw failure("E_LLAMA", "llama.cpp has no logits for row " + std::to_string(row));
    return values;
}

void llama_session::kv_copy(int32_t from, int32_t to, llama_pos begin, llama_pos end) {
    check_sequence(from);
    check_sequence(to);
    llama_memory_seq_cp(llama_get_memory(context_.get()), from, to, begin, end);
}

void llama_session::kv_remove(int32_t seq_id, llama_pos begin, llama_pos end) {
    check_sequence(seq_id);
    if (!llama_memory_seq_rm(llama_get_memory(context_.get()), seq_id, begin, end)) {
        throw failure("E_LLAMA", "this model's cache cannot drop part of a sequence");
    }
}

void llama_session::kv_clear() {
    llama_memory_clear(llama_get_memory(context_.get()), false);
}

void llama_session::check_site(hook_site site) const {
    // BitNet normalises between kqv_out and W_O, so that kqv_out is not the input of W_O.
    if (weights_->metadata("general.architecture") == "bitnet") {
        throw failure("E_NO_SITE", std::string("architecture bitnet has no ") + hook_site_name(site));
    }
}

int32_t llama_session::add_vector(hook_site site, std::shared_ptr<const steering_vector> vector) {
    check_site(site);
    vectors_[next_vector_] = std::move(vector);
    return next_vector_++;
}

void llama_session::remove_vector(int32_t id) {
    vectors_.erase(id);
}

std::shared_ptr<const steering_vector> llama_session::vector(int32_t id) const {
    const auto found = vectors_.find(id);
    if (found == vectors_.end()) throw failure("E_BAD_ARGUMENT", "no vector has the id " + std::to_string(id));
    return found->second;
}

void llama_session::begin_capture(hook_site site, int n_steps) {
    check_site(site);
    capture_ = std::make_unique<activation_capture>(weights_->n_layer(), n_steps, weights_->head_out_width());
}

std::unique_ptr<activation_capture> llama_session::take_capture() {
    capture();
    return std::move(capture_);
}

activation_capture & llama_session::capture() {
    if (!capture_) throw failure("E_BAD_ARGUMENT", "begin a capture before rows are captured");
    return *capture_;
}
