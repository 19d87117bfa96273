#pragma once
#include "engine/llama_session.h"

#include <memory>
#include <napi.h>

// JavaScript's handle of a loaded model. See lib/native/binding.ts for the signatures.
class model_wrap : public Napi::ObjectWrap<model_wrap> {
public:
    static Napi::Function constructor(Napi::Env env);
    // loadModel(path, { nGpuLayers, useMmap }) -> Promise<Model>
    static Napi::Value load(const Napi::CallbackInfo & info);

    explicit model_wrap(const Napi::CallbackInfo & info);

    // Throws E_DISPOSED.
    std::shared_ptr<llama_weights> weights() const;

private:
    Napi::Value info(const Napi::CallbackInfo & info);
    Napi::Value tokenise(const Napi::CallbackInfo & info);
    Napi::Value special_tokens(const Napi::CallbackInfo & info);
    Napi::Value detokenise(const Napi::CallbackInfo & info);
    Napi::Value is_end_of_generation(const Napi::CallbackInfo & info);
    Napi::Value site_layers(const Napi::CallbackInfo & info);
    Napi::Value site_width(const Napi::CallbackInfo & info);
    Napi::Value site_nodes(const Napi::CallbackInfo & info); // site_nodes.cc
    Napi::Value create_context(const Napi::CallbackInfo & info);
    Napi::Value create_classifier(const Napi::CallbackInfo & info);
    Napi::Value create_translator(const Napi::CallbackInfo & info);
    Napi::Value create_vector(const Napi::CallbackInfo & info);
    Napi::Value create_capture(const Napi::CallbackInfo & info);
    Napi::Value create_sampler(const Napi::CallbackInfo & info);
    void        dispose(const Napi::CallbackInfo & info);

    std::shared_ptr<llama_weights> weights_;
};
