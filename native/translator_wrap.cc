#include "translator_wrap.h"

#include "job.h"
#include "marshal.h"

namespace {

Napi::Value write_translations(Napi::Env env, std::vector<translation> & translations) {
    Napi::Array list = Napi::Array::New(env, translations.size());
    for (const auto & translation : translations) {
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("tokens", write_array<int32_t>(env, translation.tokens));
        entry.Set("bytes", Napi::Buffer<char>::Copy(env, translation.text.data(), translation.text.size()));
        entry.Set("logProbability", translation.log_probability);
        entry.Set("isTruncated", translation.is_truncated);
        list.Set(uint32_t(&translation - translations.data()), entry);
    }
    return list;
}

} // namespace

Napi::Function translator_wrap::constructor(Napi::Env env) {
    return DefineClass(env, "Translator", {
        InstanceMethod("translate", &translator_wrap::translate),
        InstanceMethod("abort", &translator_wrap::abort),
        InstanceMethod("setThreads", &translator_wrap::set_threads),
        InstanceMethod("dispose", &translator_wrap::dispose),
    });
}

translator_wrap::translator_wrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<translator_wrap>(info) {
    if (!info[0].IsExternal()) throw to_js_error(info.Env(), failure("E_BAD_ARGUMENT", "translators are made by Model.createTranslator"));
    translator_ = *info[0].As<Napi::External<std::shared_ptr<text_translator>>>().Data();
}

void translator_wrap::set_threads(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] {
        const auto n_threads = read_int(info[0], "nThreads", 1);
        if (!translator_) throw failure("E_DISPOSED", "the translator was disposed");
        if (busy_) throw failure("E_BUSY", "the translator is still working on the call before");
        translator_->set_threads(n_threads);
    });
}

Napi::Value translator_wrap::translate(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        if (!info[0].IsArray()) throw failure("E_BAD_ARGUMENT", "texts must be an array");
        const auto list = info[0].As<Napi::Array>();
        std::vector<std::string> texts;
        for (uint32_t i = 0; i < list.Length(); ++i) texts.push_back(read_string(list.Get(i), "text"));
        const auto prefix = read_string(info[1], "prefix");
        const auto n_max  = read_int(info[2], "nMax", 1);
        // Last: reading the texts may have run code of the caller's.
        if (!translator_) throw failure("E_DISPOSED", "the translator was disposed");
        if (busy_) throw failure("E_BUSY", "the translator is still working on the call before");
        busy_ = true;
        translator_->clear_abort();
        return job<std::vector<translation>>::start(Value(),
            [translator = translator_, texts, prefix, n_max] { return translator->translate(texts, prefix, n_max); },
            write_translations,
            [this] { busy_ = false; });
    });
}

void translator_wrap::abort(const Napi::CallbackInfo &) {
    if (translator_ && busy_) translator_->request_abort();
}

void translator_wrap::dispose(const Napi::CallbackInfo & info) {
    abort(info);
    translator_.reset(); // a job in flight holds its own reference
}
