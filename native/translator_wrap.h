#pragma once
#include "engine/text_translator.h"
#include "wrap.h"

// JavaScript's handle of a translator. See lib/native/binding.ts for the signatures.
class translator_wrap : public worker_wrap<translator_wrap, text_translator> {
public:
    static constexpr const char * NAME = "translator";
    static void define(Napi::Env env);

    using worker_wrap::worker_wrap;

private:
    Napi::Value translate(const Napi::CallbackInfo & info);
};
