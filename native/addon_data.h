#pragma once
#include <memory>
#include <napi.h>

class activation_capture;
class activation_gate;
class llama_session;
class llama_weights;
class steering_vector;
class text_classifier;
class text_embedder;
class text_translator;
class token_sampler;

// The constructor of the JavaScript class that holds a native object.
template <typename Native> struct class_of {
    Napi::FunctionReference constructor;
};

// What the addon keeps per JavaScript environment, of which worker threads and jest have several: there are no process globals.
struct addon_data : class_of<llama_weights>, class_of<llama_session>, class_of<text_classifier>, class_of<text_embedder>,
                    class_of<text_translator>, class_of<const steering_vector>, class_of<activation_capture>, class_of<const activation_gate>,
                    class_of<token_sampler> {};

template <typename Native> Napi::FunctionReference & constructor_of(Napi::Env env) {
    return env.GetInstanceData<addon_data>()->class_of<Native>::constructor;
}

// The JavaScript object that holds a native one.
template <typename Native> Napi::Object construct(Napi::Env env, std::shared_ptr<Native> native) {
    return constructor_of<Native>(env).New({Napi::External<std::shared_ptr<Native>>::New(env, &native)});
}

// What construct() hands to the constructor, which JavaScript cannot call itself.
template <typename Native> std::shared_ptr<Native> read_native(const Napi::CallbackInfo & info) {
    if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "only the addon makes objects of this class");
    return *info[0].As<Napi::External<std::shared_ptr<Native>>>().Data();
}
