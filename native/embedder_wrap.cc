#include "embedder_wrap.h"

void embedder_wrap::define(Napi::Env env) {
    define_class(env, "Embedder", {InstanceMethod("info", &embedder_wrap::info), InstanceMethod("embed", &embedder_wrap::embed)});
}

Napi::Value embedder_wrap::info(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("width", native()->width());
        result.Set("pooling", native()->pooling());
        return result;
    });
}

Napi::Value embedder_wrap::embed(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        auto texts = read_strings(info[0], "texts");
        return start<std::vector<float>>([texts = std::move(texts)](text_embedder & embedder) { return embedder.embed(texts); },
            [](Napi::Env env, std::vector<float> & vectors) { return write_array(env, vectors); });
    });
}
