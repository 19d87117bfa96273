#pragma once
#include "engine/text_classifier.h"

#include <memory>
#include <napi.h>

// JavaScript's handle of a classifier: one job in flight, E_BUSY for a second. See lib/native/binding.ts for the signatures.
class classifier_wrap : public Napi::ObjectWrap<classifier_wrap> {
public:
    static Napi::Function constructor(Napi::Env env);

    explicit classifier_wrap(const Napi::CallbackInfo & info);

private:
    Napi::Value classify(const Napi::CallbackInfo & info);
    void        set_threads(const Napi::CallbackInfo & info);
    void        dispose(const Napi::CallbackInfo & info);

    std::shared_ptr<text_classifier> classifier_;
    bool                             busy_ = false;
};
