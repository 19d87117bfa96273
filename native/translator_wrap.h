#pragma once
#include "engine/text_translator.h"

#include <memory>
#include <napi.h>

// JavaScript's handle of a translator: one job in flight, E_BUSY for a second. See lib/native/binding.ts for the signatures.
class translator_wrap : public Napi::ObjectWrap<translator_wrap> {
public:
    static Napi::Function constructor(Napi::Env env);

    explicit translator_wrap(const Napi::CallbackInfo & info);

private:
    Napi::Value translate(const Napi::CallbackInfo & info);
    void        set_threads(const Napi::CallbackInfo & info);
    void        abort(const Napi::CallbackInfo & info);
    void        dispose(const Napi::CallbackInfo & info);

    std::shared_ptr<text_translator> translator_;
    bool                             busy_ = false;
};
