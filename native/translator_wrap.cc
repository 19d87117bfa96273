#include "translator_wrap.h"

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

void translator_wrap::define(Napi::Env env) {
    define_class(env, "Translator", {InstanceMethod("translate", &translator_wrap::translate)});
}

Napi::Value translator_wrap::translate(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        auto       texts  = read_strings(info[0], "texts");
        const auto prefix = read_string(info[1], "prefix");
        const auto n_max  = read_int(info[2], "nMax", 1);
        return start<std::vector<translation>>(
            [texts = std::move(texts), prefix, n_max](text_translator & translator) { return translator.translate(texts, prefix, n_max); },
            write_translations);
    });
}
