#pragma once
#include "engine/llama_session.h"
#include "wrap.h"

// JavaScript's handle of a context. See lib/native/binding.ts for the signatures.
class context_wrap : public worker_wrap<context_wrap, llama_session> {
public:
    static constexpr const char * NAME = "context";
    static void define(Napi::Env env);

    using worker_wrap::worker_wrap;

private:
    Napi::Value decode(const Napi::CallbackInfo & info);
    Napi::Value logits(const Napi::CallbackInfo & info);
    void        set_control_vector(const Napi::CallbackInfo & info);
    void        kv_copy(const Napi::CallbackInfo & info);
    void        kv_remove(const Napi::CallbackInfo & info);
    void        kv_clear(const Napi::CallbackInfo & info);
};
