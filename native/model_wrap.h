#pragma once
#include "engine/llama_weights.h"
#include "wrap.h"

// JavaScript's handle of a loaded model. See lib/native/binding.ts for the signatures.
class model_wrap : public native_wrap<model_wrap, llama_weights> {
public:
    static constexpr const char * NAME = "model";
    static void define(Napi::Env env);
    // loadModel(path, { nGpuLayers, useMmap }) -> Promise<Model>
    static Napi::Value load(const Napi::CallbackInfo & info);

    using native_wrap::native_wrap;

private:
    Napi::Value info(const Napi::CallbackInfo & info);
    Napi::Value tokenise(const Napi::CallbackInfo & info);
    Napi::Value special_tokens(const Napi::CallbackInfo & info);
    Napi::Value detokenise(const Napi::CallbackInfo & info);
    Napi::Value pieces(const Napi::CallbackInfo & info);
    Napi::Value is_end_of_generation(const Napi::CallbackInfo & info);
    Napi::Value site_layers(const Napi::CallbackInfo & info);
    Napi::Value site_width(const Napi::CallbackInfo & info);
    Napi::Value site_nodes(const Napi::CallbackInfo & info); // site_nodes.cc
    Napi::Value create_context(const Napi::CallbackInfo & info);
    Napi::Value create_classifier(const Napi::CallbackInfo & info);
    Napi::Value create_embedder(const Napi::CallbackInfo & info);
    Napi::Value create_translator(const Napi::CallbackInfo & info);
    Napi::Value create_vector(const Napi::CallbackInfo & info);
    Napi::Value create_capture(const Napi::CallbackInfo & info);
    Napi::Value create_gate(const Napi::CallbackInfo & info);
    Napi::Value create_sampler(const Napi::CallbackInfo & info);
};
