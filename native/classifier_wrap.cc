#include "classifier_wrap.h"

#include "job.h"
#include "marshal.h"

Napi::Function classifier_wrap::constructor(Napi::Env env) {
    return DefineClass(env, "Classifier", {
        InstanceMethod("classify", &classifier_wrap::classify),
        InstanceMethod("setThreads", &classifier_wrap::set_threads),
        InstanceMethod("dispose", &classifier_wrap::dispose),
    });
}

classifier_wrap::classifier_wrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<classifier_wrap>(info) {
    if (!info[0].IsExternal()) throw to_js_error(info.Env(), failure("E_BAD_ARGUMENT", "classifiers are made by Model.createClassifier"));
    classifier_ = *info[0].As<Napi::External<std::shared_ptr<text_classifier>>>().Data();
}

void classifier_wrap::set_threads(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] {
        const auto n_threads = read_int(info[0], "nThreads", 1);
        if (!classifier_) throw failure("E_DISPOSED", "the classifier was disposed");
        if (busy_) throw failure("E_BUSY", "the classifier is still working on the call before");
        classifier_->set_threads(n_threads);
    });
}

Napi::Value classifier_wrap::classify(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        if (!info[0].IsArray()) throw failure("E_BAD_ARGUMENT", "texts must be an array");
        const auto list = info[0].As<Napi::Array>();
        std::vector<std::string> texts;
        for (uint32_t i = 0; i < list.Length(); ++i) texts.push_back(read_string(list.Get(i), "text"));
        // Last: reading the texts may have run code of the caller's.
        if (!classifier_) throw failure("E_DISPOSED", "the classifier was disposed");
        if (busy_) throw failure("E_BUSY", "the classifier is still working on the call before");
        busy_ = true;
        return job<std::vector<float>>::start(Value(),
            [classifier = classifier_, texts] { return classifier->classify(texts); },
            [](Napi::Env env, std::vector<float> & logits) -> Napi::Value { return write_array(env, logits); },
            [this] { busy_ = false; });
    });
}

void classifier_wrap::dispose(const Napi::CallbackInfo &) {
    classifier_.reset(); // a job in flight holds its own reference
}
