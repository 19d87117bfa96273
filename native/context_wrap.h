#pragma once
#include "engine/llama_session.h"

#include <memory>
#include <napi.h>

// JavaScript's handle of a context: one job in flight, E_BUSY for a second. See lib/native/binding.ts for the signatures.
class context_wrap : public Napi::ObjectWrap<context_wrap> {
public:
    static Napi::Function constructor(Napi::Env env);

    explicit context_wrap(const Napi::CallbackInfo & info);

private:
    Napi::Value decode(const Napi::CallbackInfo & info);
    Napi::Value logits(const Napi::CallbackInfo & info);
    Napi::Value stops(const Napi::CallbackInfo & info);
    void        set_threads(const Napi::CallbackInfo & info);
    void        set_control_vector(const Napi::CallbackInfo & info);
    void        kv_copy(const Napi::CallbackInfo & info);
    void        kv_remove(const Napi::CallbackInfo & info);
    void        kv_clear(const Napi::CallbackInfo & info);
    void        abort(const Napi::CallbackInfo & info);
    void        dispose(const Napi::CallbackInfo & info);

    // The session when it is idle; throws E_DISPOSED or E_BUSY.
    std::shared_ptr<llama_session> idle() const;

    template <typename Result>
    Napi::Value start(std::function<Result()> run, std::function<Napi::Value(Napi::Env, Result &)> convert);

    std::shared_ptr<llama_session> session_;
    bool                           busy_ = false;
};
