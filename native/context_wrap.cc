#include "context_wrap.h"

#include "job.h"
#include "marshal.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace {

struct alpha_request {
    int32_t      baseline;
    int32_t      strong;
    double       top_p;
    double       alpha_max;
    kl_reduction reduction;
};

struct alpha_result {
    std::vector<double> alphas;
    std::vector<double> kls;
};

void check_same_length(size_t expected, std::initializer_list<size_t> lengths, const char * what) {
    if (std::any_of(lengths.begin(), lengths.end(), [=](size_t length) { return length != expected; })) {
        throw failure("E_SHAPE", std::string(what) + ": arrays differ in length");
    }
}

void check_row(int32_t row, size_t n_rows, const char * what) {
    if (row < 0 || size_t(row) >= n_rows) {
        throw failure("E_SHAPE", std::string(what) + " names row " + std::to_string(row) + " of a batch of " + std::to_string(n_rows));
    }
}

bool all_finite(const std::vector<float> & values) {
    return std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
}

// { rows, vectors, steps: Int32Array, alphas: Float32Array }
steering_plan read_plan(const Napi::Value & value, const llama_session & session, size_t n_rows) {
    steering_plan plan;
    if (value.IsUndefined()) return plan;
    const auto object  = read_object(value, "plan");
    const auto rows    = read_array<int32_t>(object.Get("rows"), "plan.rows");
    const auto vectors = read_array<int32_t>(object.Get("vectors"), "plan.vectors");
    const auto steps   = read_array<int32_t>(object.Get("steps"), "plan.steps");
    const auto alphas  = read_array<float>(object.Get("alphas"), "plan.alphas");
    check_same_length(rows.size(), {vectors.size(), steps.size(), alphas.size()}, "plan");
    if (!all_finite(alphas)) throw failure("E_NOT_FINITE", "plan.alphas holds a value that is not finite");
    for (size_t i = 0; i < rows.size(); ++i) {
        check_row(rows[i], n_rows, "plan");
        auto vector = session.vector(vectors[i]);
        if (steps[i] < 0 || steps[i] > vector->n_steps()) {
            throw failure("E_SHAPE", "plan names step " + std::to_string(steps[i]) + " of a vector of " + std::to_string(vector->n_steps()) + " steps");
        }
        plan.add(rows[i], vectors[i], std::move(vector), steps[i], alphas[i]);
    }
    return plan;
}

// { rows, steps: Int32Array, weights: Float64Array }
std::vector<activation_capture::row_request> read_capture(const Napi::Value & value, llama_session & session, size_t n_rows) {
    std::vector<activation_capture::row_request> requests;
    if (value.IsUndefined()) return requests;
    const auto object  = read_object(value, "capture");
    const auto rows    = read_array<int32_t>(object.Get("rows"), "capture.rows");
    const auto steps   = read_array<int32_t>(object.Get("steps"), "capture.steps");
    const auto weights = read_array<double>(object.Get("weights"), "capture.weights");
    check_same_length(rows.size(), {steps.size(), weights.size()}, "capture");
    for (size_t i = 0; i < rows.size(); ++i) {
        check_row(rows[i], n_rows, "capture");
        if (steps[i] < 0 || steps[i] >= session.capture().n_steps()) throw failure("E_SHAPE", "capture names step " + std::to_string(steps[i]) + " of " + std::to_string(session.capture().n_steps()));
        if (!std::isfinite(weights[i])) throw failure("E_NOT_FINITE", "capture.weights holds a value that is not finite");
        requests.push_back({rows[i], steps[i], weights[i]});
    }
    return requests;
}

// { baselines, strong: Int32Array, topP, alphaMax: Float64Array, reductions: Int8Array (0 mean, 1 sum) }
std::vector<alpha_request> read_alpha_requests(const Napi::Object & object) {
    const auto baselines  = read_array<int32_t>(object.Get("baselines"), "baselines");
    const auto strong     = read_array<int32_t>(object.Get("strong"), "strong");
    const auto top_p      = read_array<double>(object.Get("topP"), "topP");
    const auto alpha_max  = read_array<double>(object.Get("alphaMax"), "alphaMax");
    const auto reductions = read_array<int8_t>(object.Get("reductions"), "reductions");
    check_same_length(baselines.size(), {strong.size(), top_p.size(), alpha_max.size(), reductions.size()}, "composeAlpha");
    std::vector<alpha_request> requests;
    for (size_t i = 0; i < baselines.size(); ++i) {
        if (!(top_p[i] > 0 && top_p[i] <= 1)) throw failure("E_BAD_ARGUMENT", "topP must be above 0 and at most 1");
        if (!(alpha_max[i] >= 0)) throw failure("E_BAD_ARGUMENT", "alphaMax must be at least 0");
        requests.push_back({baselines[i], strong[i], top_p[i], alpha_max[i], reductions[i] == 0 ? kl_reduction::mean : kl_reduction::sum});
    }
    return requests;
}

// alpha = clip(KL, 0, alphaMax) (REFERENCE §4, Dyn).
alpha_result compose_alphas(const llama_session & session, const std::vector<alpha_request> & requests) {
    alpha_result result;
    const int32_t n_vocab = session.weights().n_vocab();
    std::map<int32_t, distribution> distributions; // by row: the baseline serves all properties
    const auto of_row = [&](int32_t row) -> const distribution & {
        return distributions.try_emplace(row, session.logits(row), n_vocab).first->second;
    };
    for (const auto & request : requests) {
        const double kl = top_p_divergence(of_row(request.baseline), of_row(request.strong), request.top_p, request.reduction);
        if (!std::isfinite(kl)) throw failure("E_NOT_FINITE", "the model's logits are not finite: the steering is too strong or the weights are broken");
        result.kls.push_back(kl);
        result.alphas.push_back(std::clamp(kl, 0.0, request.alpha_max));
    }
    return result;
}

std::vector<int32_t> sample_greedy(const llama_session & session, const std::vector<int32_t> & rows) {
    std::vector<int32_t> tokens;
    for (int32_t row : rows) {
        const float * logits = session.logits(row);
        const int32_t token  = arg_max(logits, session.weights().n_vocab());
        if (token < 0) throw failure("E_NOT_FINITE", "the model's logits are not finite: the steering is too strong or the weights are broken");
        tokens.push_back(token);
    }
    return tokens;
}

} // namespace

Napi::Function context_wrap::constructor(Napi::Env env) {
    return DefineClass(env, "Context", {
        InstanceMethod("decode", &context_wrap::decode),
        InstanceMethod("sample", &context_wrap::sample),
        InstanceMethod("composeAlpha", &context_wrap::compose_alpha),
        InstanceMethod("logits", &context_wrap::logits),
        InstanceMethod("kvCopy", &context_wrap::kv_copy),
        InstanceMethod("kvRemove", &context_wrap::kv_remove),
        InstanceMethod("kvClear", &context_wrap::kv_clear),
        InstanceMethod("addVector", &context_wrap::add_vector),
        InstanceMethod("removeVector", &context_wrap::remove_vector),
        InstanceMethod("beginCapture", &context_wrap::begin_capture),
        InstanceMethod("takeCapture", &context_wrap::take_capture),
        InstanceMethod("abort", &context_wrap::abort),
        InstanceMethod("dispose", &context_wrap::dispose),
    });
}

context_wrap::context_wrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<context_wrap>(info) {
    if (!info[0].IsExternal()) throw to_js_error(info.Env(), failure("E_BAD_ARGUMENT", "contexts are made by Model.createContext"));
    session_ = *info[0].As<Napi::External<std::shared_ptr<llama_session>>>().Data();
}

std::shared_ptr<llama_session> context_wrap::idle() const {
    if (!session_) throw failure("E_DISPOSED", "the context was disposed");
    if (busy_) throw failure("E_BUSY", "the context is still working on the call before");
    return session_;
}

template <typename Result>
Napi::Value context_wrap::start(std::function<Result()> run, std::function<Napi::Value(Napi::Env, Result &)> convert) {
    idle(); // reading the arguments may have run code of the caller's
    busy_ = true;
    session_->clear_abort();
    return job<Result>::start(Value(), std::move(run), std::move(convert), [this] { busy_ = false; });
}

Napi::Value context_wrap::decode(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        auto session = idle();
        decode_batch batch{read_array<int32_t>(info[0], "tokens"), read_array<int32_t>(info[1], "positions"),
                           read_array<int32_t>(info[2], "seqIds"), read_array<int8_t>(info[3], "outputs")};
        auto plan     = read_plan(info[4], *session, batch.tokens.size());
        auto captured = read_capture(info[5], *session, batch.tokens.size());
        return start<bool>(
            [=] { session->decode(batch, plan, captured); return true; },
            [](Napi::Env env, bool &) { return env.Undefined(); });
    });
}

Napi::Value context_wrap::sample(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        auto session = idle();
        const auto rows = read_array<int32_t>(info[0], "rows");
        return start<std::vector<int32_t>>(
            [=] { return sample_greedy(*session, rows); },
            [](Napi::Env env, std::vector<int32_t> & tokens) { return write_array(env, tokens); });
    });
}

Napi::Value context_wrap::compose_alpha(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        auto session = idle();
        const auto requests = read_alpha_requests(read_object(info[0], "request"));
        return start<alpha_result>(
            [=] { return compose_alphas(*session, requests); },
            [](Napi::Env env, alpha_result & result) -> Napi::Value {
                Napi::Object object = Napi::Object::New(env);
                object.Set("alphas", write_array(env, result.alphas));
                object.Set("kls", write_array(env, result.kls));
                return object;
            });
    });
}

Napi::Value context_wrap::logits(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto session = idle();
        const float * values = session->logits(read_int(info[0], "row"));
        return write_array(info.Env(), std::vector<float>(values, values + session->weights().n_vocab()));
    });
}

void context_wrap::kv_copy(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->kv_copy(read_int(info[0], "from"), read_int(info[1], "to"), read_int(info[2], "begin"), read_int(info[3], "end", -1)); });
}

void context_wrap::kv_remove(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->kv_remove(read_int(info[0], "sequence"), read_int(info[1], "begin"), read_int(info[2], "end", -1)); });
}

void context_wrap::kv_clear(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->kv_clear(); });
}

Napi::Value context_wrap::add_vector(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto session = idle();
        const auto object  = read_object(info[0], "vector");
        const auto site    = hook_site_from_name(read_string(object.Get("site"), "vector.site"));
        const auto layers  = read_array<int32_t>(object.Get("layers"), "vector.layers");
        const auto n_steps = read_int(object.Get("nSteps"), "vector.nSteps", 1);
        const auto width   = read_int(object.Get("width"), "vector.width", 1);
        const auto data    = read_array<float>(object.Get("data"), "vector.data");
        const int32_t n_layer = session->weights().n_layer();
        if (data.size() != layers.size() * size_t(n_steps) * width) {
            throw failure("E_SHAPE", "vector.data has " + std::to_string(data.size()) + " values; [" + std::to_string(layers.size()) + ", "
                + std::to_string(n_steps) + ", " + std::to_string(width) + "] was expected");
        }
        if (width != session->weights().head_out_width()) {
            throw failure("E_SHAPE", "the vector's width is " + std::to_string(width) + "; the model's is " + std::to_string(session->weights().head_out_width()));
        }
        if (layers.empty() || std::any_of(layers.begin(), layers.end(), [=](int32_t layer) { return layer < 0 || layer >= n_layer; })) {
            throw failure("E_SHAPE", "vector.layers must name layers from 0 to " + std::to_string(n_layer - 1));
        }
        if (std::adjacent_find(layers.begin(), layers.end(), std::greater_equal<int32_t>()) != layers.end()) {
            throw failure("E_SHAPE", "vector.layers must be ascending, each layer once");
        }
        if (!all_finite(data)) throw failure("E_NOT_FINITE", "vector.data holds a value that is not finite");
        const int32_t id = session->add_vector(site, std::make_shared<steering_vector>(layers, n_steps, width, data.data()));
        return Napi::Number::New(info.Env(), id);
    });
}

void context_wrap::remove_vector(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] {
        if (session_) idle()->remove_vector(read_int(info[0], "vector")); // a disposed context has none
    });
}

void context_wrap::begin_capture(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->begin_capture(hook_site_from_name(read_string(info[0], "site")), read_int(info[1], "nSteps", 1)); });
}

Napi::Value context_wrap::take_capture(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto session = idle();
        const auto taken = session->take_capture();
        const auto & capture = *taken;
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("nLayer", capture.n_layer());
        result.Set("nSteps", capture.n_steps());
        result.Set("width", capture.width());
        result.Set("sums", write_array(info.Env(), capture.sums()));
        result.Set("weights", write_array(info.Env(), capture.weights()));
        return result;
    });
}

void context_wrap::abort(const Napi::CallbackInfo &) {
    if (session_ && busy_) session_->request_abort();
}

void context_wrap::dispose(const Napi::CallbackInfo & info) {
    abort(info);
    session_.reset(); // a job in flight holds its own reference
}
