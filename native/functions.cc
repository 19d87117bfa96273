#include "functions.h"

#include "engine/content_hash.h"
#include "engine/decode_step.h"
#include "engine/rpc.h"
#include "engine/text_classifier.h"
#include "engine/text_embedder.h"
#include "engine/text_translator.h"
#include "engine/work_counts.h"
#include "handle.h"
#include "job.h"
#include "marshal.h"

namespace {

const char * device_kind(ggml_backend_dev_t device) {
    switch (ggml_backend_dev_type(device)) {
        case GGML_BACKEND_DEVICE_TYPE_CPU:  return "cpu";
        case GGML_BACKEND_DEVICE_TYPE_GPU:  return "gpu";
        case GGML_BACKEND_DEVICE_TYPE_IGPU: return "igpu";
        default:                            return "accelerator";
    }
}

} // namespace

void load_backends_entry(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { load_backends(read_string(info[0], "folder"), read_strings(info[1], "plugins")); });
}

Napi::Value run_rpc_server_entry(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto endpoint  = read_string(info[0], "endpoint");
        const auto n_threads = info[1].ToNumber().Uint32Value();
        return job<bool>::start(Napi::Object::New(info.Env()), [=] { run_rpc_server(endpoint, n_threads); return true; },
            [](Napi::Env env, bool &) { return env.Undefined(); });
    });
}

Napi::Value devices(const Napi::CallbackInfo & info) {
    const log_sink log;
    Napi::Env env = info.Env();
    Napi::Array list = Napi::Array::New(env);
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        size_t free_bytes = 0;
        size_t total_bytes = 0;
        ggml_backend_dev_memory(device, &free_bytes, &total_bytes);
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("name", ggml_backend_dev_name(device));
        entry.Set("description", ggml_backend_dev_description(device));
        entry.Set("kind", device_kind(device));
        entry.Set("freeBytes", double(free_bytes));
        entry.Set("totalBytes", double(total_bytes));
        list.Set(uint32_t(i), entry);
    }
    return list;
}

Napi::Value system_info(const Napi::CallbackInfo & info) {
    const log_sink log;
    return Napi::String::New(info.Env(), llama_print_system_info());
}

Napi::Value hash_of(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        if (!info[0].IsTypedArray()) throw failure("E_BAD_ARGUMENT", "data must be a typed array");
        void * data = nullptr; // read in place, as bytes, whatever the elements are
        if (napi_get_typedarray_info(info.Env(), info[0], nullptr, nullptr, &data, nullptr, nullptr) != napi_ok) {
            throw failure("E_BAD_ARGUMENT", "data cannot be read");
        }
        return Napi::BigInt::New(info.Env(), content_hash(data, info[0].As<Napi::TypedArray>().ByteLength()));
    });
}

Napi::Value alive_objects(const Napi::CallbackInfo & info) {
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("models", llama_weights::alive());
    result.Set("contexts", llama_session::alive());
    result.Set("classifiers", text_classifier::alive());
    result.Set("embedders", text_embedder::alive());
    result.Set("translators", text_translator::alive());
    result.Set("vectors", steering_vector::alive());
    result.Set("captures", activation_capture::alive());
    result.Set("gates", activation_gate::alive());
    result.Set("samplers", token_sampler::alive());
    return result;
}

Napi::Value work_done_entry(const Napi::CallbackInfo & info) {
    Napi::Object result = Napi::Object::New(info.Env());
    const auto   set    = [&](const char * name, const work_counts::count & count) { result.Set(name, double(count)); };
    set("calls", work_done.calls);
    set("argumentBytes", work_done.argument_bytes);
    set("resultBytes", work_done.result_bytes);
    set("decodes", work_done.decodes);
    set("rows", work_done.rows);
    set("outputs", work_done.outputs);
    set("nodes", work_done.nodes);
    set("stops", work_done.stops);
    set("synchronises", work_done.synchronises);
    set("logitBytes", work_done.logit_bytes);
    set("activationBytes", work_done.activation_bytes);
    set("vectorBytes", work_done.vector_bytes);
    return result;
}

Napi::Value take_capture(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto totals = handle<activation_capture>::read(info[0], "capture")->take();
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("sums", write_array(info.Env(), totals.sums));
        result.Set("weights", write_array(info.Env(), totals.weights));
        return result;
    });
}
