#include "model_wrap.h"

#include "engine/llama_session.h"
#include "engine/text_classifier.h"
#include "engine/text_embedder.h"
#include "engine/text_translator.h"
#include "engine/token_sampler.h"
#include "handle.h"

#include <cstdlib>

namespace {

steering_path read_path(const std::string & name) {
    if (name == "auto") return steering_path::automatic;
    if (name == "graph") return steering_path::graph;
    if (name == "callback") return steering_path::callback;
    throw failure("E_BAD_ARGUMENT", "steeringPath \"" + name + "\" is none of auto, graph, callback");
}

session_options read_session_options(const Napi::Object & options) {
    session_options result;
    result.n_ctx         = uint32_t(read_int(options.Get("nCtx"), "nCtx", 1));
    result.n_batch       = uint32_t(read_int(options.Get("nBatch"), "nBatch", 1));
    result.n_seq_max     = uint32_t(read_int(options.Get("nSeqMax"), "nSeqMax", 1));
    result.n_outputs_max = uint32_t(read_int(options.Get("nOutputsMax"), "nOutputsMax", 1));
    result.n_threads     = read_int(options.Get("nThreads"), "nThreads", 1);
    result.flash_attn    = read_bool(options.Get("flashAttention"), "flashAttention");
    result.kv_f32        = read_bool(options.Get("kvF32"), "kvF32");
    if (!options.Get("ropeScaling").IsUndefined()) {
        const Napi::Object scaling = read_object(options.Get("ropeScaling"), "ropeScaling");
        result.rope_factor   = float(read_number(scaling.Get("factor"), "factor"));
        result.rope_yarn     = read_bool(scaling.Get("yarn"), "yarn");
        result.rope_original = uint32_t(read_int(scaling.Get("originalContext"), "originalContext"));
    }
    result.path          = read_path(read_string(options.Get("steeringPath"), "steeringPath"));
    return result;
}

sampler_options read_sampler_options(const Napi::Object & options) {
    const auto number  = [&](const char * name) { return float(read_number(options.Get(name), name)); };
    const auto integer = [&](const char * name) { return read_int(options.Get(name), name); };
    sampler_options result;
    result.temperature        = number("temperature");
    result.top_n_sigma        = number("topNSigma");
    result.top_k              = integer("topK");
    result.typical_p          = number("typicalP");
    result.top_p              = number("topP");
    result.min_p              = number("minP");
    result.xtc_probability    = number("xtcProbability");
    result.xtc_threshold      = number("xtcThreshold");
    result.repeat_penalty     = number("repeatPenalty");
    result.presence_penalty   = number("presencePenalty");
    result.frequency_penalty  = number("frequencyPenalty");
    result.repeat_last_n      = integer("repeatLastN");
    result.dry.multiplier     = number("dryMultiplier");
    result.dry.base           = number("dryBase");
    result.dry.allowed_length = integer("dryAllowedLength");
    result.dry.last_n         = integer("dryLastN");
    result.dry.breakers       = read_strings(options.Get("drySequenceBreakers"), "drySequenceBreakers");
    result.history            = read_array<int32_t>(options.Get("history"), "history");
    result.seed               = uint32_t(integer("seed"));
    const auto tokens = read_array<int32_t>(options.Get("biasTokens"), "biasTokens");
    const auto biases = read_array<float>(options.Get("biases"), "biases");
    if (tokens.size() != biases.size()) throw failure("E_SHAPE", "biasTokens and biases differ in length");
    for (size_t i = 0; i < tokens.size(); ++i) result.logit_bias.push_back({tokens[i], biases[i]});
    return result;
}

// Makes a native object on a worker thread; returns a promise of the JavaScript object that holds it.
template <typename Native, typename... Arguments> Napi::Value make(Napi::Object owner, Arguments... arguments) {
    return job<std::shared_ptr<Native>>::start(owner, [=] { return std::make_shared<Native>(arguments...); },
        [](Napi::Env env, std::shared_ptr<Native> & native) { return construct(env, std::move(native)); });
}

} // namespace

void model_wrap::define(Napi::Env env) {
    define_class(env, "Model", {
        InstanceMethod("info", &model_wrap::info),
        InstanceMethod("tokenise", &model_wrap::tokenise),
        InstanceMethod("specialTokens", &model_wrap::special_tokens),
        InstanceMethod("detokenise", &model_wrap::detokenise),
        InstanceMethod("pieces", &model_wrap::pieces),
        InstanceMethod("isEndOfGeneration", &model_wrap::is_end_of_generation),
        InstanceMethod("siteLayers", &model_wrap::site_layers),
        InstanceMethod("siteWidth", &model_wrap::site_width),
        InstanceMethod("siteNodes", &model_wrap::site_nodes),
        InstanceMethod("createContext", &model_wrap::create_context),
        InstanceMethod("createClassifier", &model_wrap::create_classifier),
        InstanceMethod("createEmbedder", &model_wrap::create_embedder),
        InstanceMethod("createTranslator", &model_wrap::create_translator),
        InstanceMethod("createVector", &model_wrap::create_vector),
        InstanceMethod("createCapture", &model_wrap::create_capture),
        InstanceMethod("createGate", &model_wrap::create_gate),
        InstanceMethod("createSampler", &model_wrap::create_sampler),
    });
}

Napi::Value model_wrap::load(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto path         = read_string(info[0], "path");
        const auto options      = read_object(info[1], "options");
        weights_options wanted;
        wanted.n_gpu_layers = read_int(options.Get("nGpuLayers"), "nGpuLayers", -1);
        wanted.use_mmap     = read_bool(options.Get("useMmap"), "useMmap");
        if (options.Has("backend")) wanted.backend = read_string(options.Get("backend"), "backend");
        if (options.Has("rpc")) wanted.rpc = read_strings(options.Get("rpc"), "rpc");
        return make<llama_weights>(Napi::Object::New(info.Env()), path, wanted);
    });
}

Napi::Value model_wrap::info(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        llama_model * model = weights->model();
        char description[256] = "";
        llama_model_desc(model, description, sizeof(description));
        const char * chat_template = llama_model_chat_template(model, nullptr);
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("architecture", weights->metadata("general.architecture"));
        result.Set("name", weights->metadata("general.name"));
        result.Set("description", description);
        result.Set("fileType", std::atoi(weights->metadata("general.file_type").c_str()));
        result.Set("nLayer", llama_model_n_layer(model));
        result.Set("nEmbd", llama_model_n_embd(model));
        result.Set("nHead", weights->n_head());
        result.Set("dHead", weights->d_head());
        result.Set("nVocab", weights->n_vocab());
        result.Set("nCtxTrain", llama_model_n_ctx_train(model));
        result.Set("nParams", double(llama_model_n_params(model)));
        result.Set("sizeBytes", double(llama_model_size(model)));
        result.Set("tokenizerHash", weights->tokenizer_hash());
        // llama.cpp assumes one where the file names none.
        const bool has_bos = !weights->metadata("tokenizer.ggml.bos_token_id").empty();
        result.Set("bosToken", has_bos ? Napi::Number::New(info.Env(), llama_vocab_bos(weights->vocab())) : info.Env().Null());
        result.Set("hasWholeSequences", weights->has_whole_sequences());
        result.Set("isCausal", weights->is_causal());
        result.Set("isEncoderDecoder", weights->is_encoder_decoder());
        Napi::Array labels = Napi::Array::New(info.Env());
        for (const auto & label : weights->labels()) labels.Set(labels.Length(), label);
        result.Set("labels", labels);
        result.Set("chatTemplate", chat_template == nullptr ? info.Env().Null() : Napi::String::New(info.Env(), chat_template));
        return result;
    });
}

Napi::Value model_wrap::tokenise(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        return write_array<int32_t>(info.Env(), native()->tokenise_prompt(read_string(info[0], "text"),
            read_bool(info[1], "addBos"), read_bool(info[2], "parseSpecial")));
    });
}

Napi::Value model_wrap::special_tokens(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        // llama.cpp assumes one where the file names none.
        const auto text_of = [&](const char * key, llama_token token) -> Napi::Value {
            if (token == LLAMA_TOKEN_NULL || weights->metadata(key).empty()) return info.Env().Null();
            return Napi::String::New(info.Env(), weights->detokenise({token}, true));
        };
        Napi::Array tokens = Napi::Array::New(info.Env());
        for (const auto & special : weights->special_tokens()) {
            Napi::Object entry = Napi::Object::New(info.Env());
            entry.Set("token", special.token);
            entry.Set("text", special.text);
            entry.Set("isUserDefined", (special.attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0);
            entry.Set("stripsLeft", (special.attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0);
            entry.Set("stripsRight", (special.attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0);
            tokens.Set(tokens.Length(), entry);
        }
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("bos", text_of("tokenizer.ggml.bos_token_id", llama_vocab_bos(weights->vocab())));
        result.Set("eos", text_of("tokenizer.ggml.eos_token_id", llama_vocab_eos(weights->vocab())));
        result.Set("tokens", tokens);
        return result;
    });
}

Napi::Value model_wrap::detokenise(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const std::string bytes = native()->detokenise(read_array<int32_t>(info[0], "tokens"));
        return Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size());
    });
}

Napi::Value model_wrap::pieces(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        std::vector<int32_t> tokens, ends, offsets{0};
        std::string bytes;
        for (const auto & [piece, token] : weights->pieces()) {
            if (weights->is_end(token)) continue;
            tokens.push_back(token);
            bytes += piece;
            offsets.push_back(int32_t(bytes.size()));
        }
        for (int32_t token = 0; token < weights->n_vocab(); ++token) {
            if (weights->is_end(token)) ends.push_back(token);
        }
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("tokens", write_array(info.Env(), tokens));
        result.Set("ends", write_array(info.Env(), ends));
        result.Set("offsets", write_array(info.Env(), offsets));
        result.Set("bytes", Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size()));
        return result;
    });
}

Napi::Value model_wrap::is_end_of_generation(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        const int32_t token = read_int(info[0], "token");
        if (token >= weights->n_vocab()) throw failure("E_BAD_TOKEN", "token " + std::to_string(token) + " is outside the vocabulary");
        return Napi::Boolean::New(info.Env(), weights->is_end(token));
    });
}

Napi::Value model_wrap::create_context(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        const auto options = read_session_options(read_object(info[0], "options"));
        return make<llama_session>(Value(), weights, options);
    });
}

Napi::Value model_wrap::create_classifier(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights   = native();
        const auto n_threads = read_int(read_object(info[0], "options").Get("nThreads"), "nThreads", 1);
        return make<text_classifier>(Value(), weights, n_threads);
    });
}

Napi::Value model_wrap::create_embedder(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights   = native();
        const auto n_threads = read_int(read_object(info[0], "options").Get("nThreads"), "nThreads", 1);
        return make<text_embedder>(Value(), weights, n_threads);
    });
}

Napi::Value model_wrap::create_translator(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights   = native();
        const auto options   = read_object(info[0], "options");
        const auto n_threads = read_int(options.Get("nThreads"), "nThreads", 1);
        const auto kv_f32    = read_bool(options.Get("kvF32"), "kvF32");
        return make<text_translator>(Value(), weights, n_threads, kv_f32);
    });
}

Napi::Value model_wrap::site_layers(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        const auto site    = hook_site_from_name(read_string(info[0], "site"));
        std::vector<int32_t> layers, cut;
        for (int layer : weights->sites().layers(site)) {
            layers.push_back(layer);
            if (weights->sites().find(site, layer)->is_cut) cut.push_back(layer);
        }
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("layers", write_array(info.Env(), layers));
        result.Set("cut", write_array(info.Env(), cut));
        return result;
    });
}

Napi::Value model_wrap::site_width(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return Napi::Number::New(info.Env(), native()->sites().width(hook_site_from_name(read_string(info[0], "site"))));
    });
}

Napi::Value model_wrap::create_sampler(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        const auto options = read_sampler_options(read_object(info[0], "sampler"));
        return handle<token_sampler>::make(info.Env(), std::make_shared<token_sampler>(weights, options), 0);
    });
}
