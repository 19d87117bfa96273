#include "context_wrap.h"

#include "job.h"
#include "marshal.h"
#include "step_arguments.h"

Napi::Function context_wrap::constructor(Napi::Env env) {
    return DefineClass(env, "Context", {
        InstanceMethod("decode", &context_wrap::decode),
        InstanceMethod("logits", &context_wrap::logits),
        InstanceMethod("stops", &context_wrap::stops),
        InstanceMethod("setThreads", &context_wrap::set_threads),
        InstanceMethod("setControlVector", &context_wrap::set_control_vector),
        InstanceMethod("kvCopy", &context_wrap::kv_copy),
        InstanceMethod("kvRemove", &context_wrap::kv_remove),
        InstanceMethod("kvClear", &context_wrap::kv_clear),
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
        auto step = read_step(read_object(info[0], "step"));
        return start<step_result>(
            [=] { return run_step(*session, step); },
            [](Napi::Env env, step_result & result) -> Napi::Value {
                Napi::Object object = Napi::Object::New(env);
                object.Set("kls", write_array(env, result.kls));
                object.Set("alphas", write_array(env, result.alphas));
                object.Set("tokens", write_array(env, result.tokens));
                object.Set("logProbabilities", write_array(env, result.log_probabilities));
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

Napi::Value context_wrap::stops(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return Napi::Number::New(info.Env(), idle()->stops()); });
}

void context_wrap::set_threads(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->set_threads(read_int(info[0], "nThreads", 1)); });
}

void context_wrap::set_control_vector(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->set_control_vector(read_array<float>(info[0], "data")); });
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

void context_wrap::abort(const Napi::CallbackInfo &) {
    if (session_ && busy_) session_->request_abort();
}

void context_wrap::dispose(const Napi::CallbackInfo & info) {
    abort(info);
    session_.reset(); // a job in flight holds its own reference
}
