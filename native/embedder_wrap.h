#pragma once
#include "engine/text_embedder.h"
#include "wrap.h"

// JavaScript's handle of an embedding model. See lib/native/binding.ts for the signatures.
class embedder_wrap : public worker_wrap<embedder_wrap, text_embedder> {
public:
    static constexpr const char * NAME = "embedding model";
    static void define(Napi::Env env);

    using worker_wrap::worker_wrap;

private:
    Napi::Value info(const Napi::CallbackInfo & info);
    Napi::Value embed(const Napi::CallbackInfo & info);
};
