#include "model_wrap.h"

#include "addon_data.h"
#include "job.h"
#include "marshal.h"

#include <cstdlib>

namespace {

// Hands a freshly made native object to the constructor that JavaScript cannot call itself.
template <typename Native> Napi::Value wrap_native(Napi::Env env, Napi::FunctionReference & constructor, std::shared_ptr<Native> native) {
    return constructor.New({Napi::External<std::shared_ptr<Native>>::New(env, &native)});
}

session_options read_session_options(const Napi::Object & options) {
    session_options result;
    result.n_ctx         = uint32_t(read_int(options.Get("nCtx"), "nCtx", 1));
    result.n_batch       = uint32_t(read_int(options.Get("nBatch"), "nBatch", 1));
    result.n_seq_max     = uint32_t(read_int(options.Get("nSeqMax"), "nSeqMax", 1));
    result.n_outputs_max = uint32_t(read_int(options.Get("nOutputsMax"), "nOutputsMax", 1));
    result.n_threads     = read_int(options.Get("nThreads"), "nThreads", 1);
    result.flash_attn    = read_bool(options.Get("flashAttention"), "flashAttention");
    result.kv_f32        = read_bool(options.Get("kvF32"), "kvF32");
    return result;
}

} // namespace

Napi::Function model_wrap::constructor(Napi::Env env) {
    return DefineClass(env, "Model", {
        InstanceMethod("info", &model_wrap::info),
        InstanceMethod("tokenise", &model_wrap::tokenise),
        InstanceMethod("detokenise", &model_wrap::detokenise),
        InstanceMethod("isEndOfGeneration", &model_wrap::is_end_of_generation),
        InstanceMethod("createContext", &model_wrap::create_context),
        InstanceMethod("dispose", &model_wrap::dispose),
    });
}

model_wrap::model_wrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<model_wrap>(info) {
    if (!info[0].IsExternal()) throw to_js_error(info.Env(), failure("E_BAD_ARGUMENT", "models are made by loadModel"));
    weights_ = *info[0].As<Napi::External<std::shared_ptr<llama_weights>>>().Data();
}

std::shared_ptr<llama_weights> model_wrap::weights() const {
    if (!weights_) throw failure("E_DISPOSED", "the model was disposed");
    return weights_;
}

Napi::Value model_wrap::load(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto path         = read_string(info[0], "path");
        const auto options      = read_object(info[1], "options");
        const auto n_gpu_layers = read_int(options.Get("nGpuLayers"), "nGpuLayers", -1);
        const auto use_mmap     = read_bool(options.Get("useMmap"), "useMmap");
        using weights_ptr = std::shared_ptr<llama_weights>;
        return job<weights_ptr>::start(Napi::Object::New(info.Env()),
            [=] { return std::make_shared<llama_weights>(path, n_gpu_layers, use_mmap); },
            [](Napi::Env env, weights_ptr & weights) { return wrap_native(env, env.GetInstanceData<addon_data>()->model, weights); });
    });
}

Napi::Value model_wrap::info(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = this->weights();
        llama_model * model = weights->model();
        char description[256] = "";
        llama_model_desc(model, description, sizeof(description));
        const char * chat_template = llama_model_chat_template(model, nullptr);
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("architecture", weights->metadata("general.architecture"));
        result.Set("name", weights->metadata("general.name"));
        result.Set("description", description);
        result.Set("fileType", std::atoi(weights->metadata("general.file_type").c_str()));
        result.Set("nLayer", llama_model_n_layer(model));
        result.Set("nEmbd", llama_model_n_embd(model));
        result.Set("nHead", llama_model_n_head(model));
        result.Set("dHead", weights->d_head());
        result.Set("nVocab", weights->n_vocab());
        result.Set("nCtxTrain", llama_model_n_ctx_train(model));
        result.Set("nParams", double(llama_model_n_params(model)));
        result.Set("sizeBytes", double(llama_model_size(model)));
        result.Set("tokenizerHash", weights->tokenizer_hash());
        result.Set("chatTemplate", chat_template == nullptr ? info.Env().Null() : Napi::String::New(info.Env(), chat_template));
        return result;
    });
}

Napi::Value model_wrap::tokenise(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        return write_array<int32_t>(info.Env(), weights()->tokenise(read_string(info[0], "text"),
            read_bool(info[1], "addSpecial"), read_bool(info[2], "parseSpecial")));
    });
}

Napi::Value model_wrap::detokenise(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const std::string bytes = weights()->detokenise(read_array<int32_t>(info[0], "tokens"));
        return Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size());
    });
}

Napi::Value model_wrap::is_end_of_generation(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = this->weights();
        const int32_t token = read_int(info[0], "token");
        if (token >= weights->n_vocab()) throw failure("E_BAD_TOKEN", "token " + std::to_string(token) + " is outside the vocabulary");
        return Napi::Boolean::New(info.Env(), llama_vocab_is_eog(weights->vocab(), token));
    });
}

Napi::Value model_wrap::create_context(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = this->weights();
        const auto options = read_session_options(read_object(info[0], "options"));
        using session_ptr = std::shared_ptr<llama_session>;
        return job<session_ptr>::start(Value(),
            [=] { return std::make_shared<llama_session>(weights, options); },
            [](Napi::Env env, session_ptr & session) { return wrap_native(env, env.GetInstanceData<addon_data>()->context, session); });
    });
}

void model_wrap::dispose(const Napi::CallbackInfo &) {
    weights_.reset();
}
