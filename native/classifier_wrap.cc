#include "classifier_wrap.h"

void classifier_wrap::define(Napi::Env env) {
    define_class(env, "Classifier", {InstanceMethod("classify", &classifier_wrap::classify)});
}

Napi::Value classifier_wrap::classify(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        auto texts = read_strings(info[0], "texts");
        return start<std::vector<float>>([texts = std::move(texts)](text_classifier & classifier) { return classifier.classify(texts); },
            [](Napi::Env env, std::vector<float> & logits) { return write_array(env, logits); });
    });
}
