#pragma once
#include "engine/text_classifier.h"
#include "wrap.h"

// JavaScript's handle of a classifier. See lib/native/binding.ts for the signatures.
class classifier_wrap : public worker_wrap<classifier_wrap, text_classifier> {
public:
    static constexpr const char * NAME = "classifier";
    static void define(Napi::Env env);

    using worker_wrap::worker_wrap;

private:
    Napi::Value classify(const Napi::CallbackInfo & info);
};
