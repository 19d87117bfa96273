#include "context_wrap.h"

#include "step_arguments.h"

void context_wrap::define(Napi::Env env) {
    define_class(env, "Context", {
        InstanceMethod("decode", &context_wrap::decode),
        InstanceMethod("logits", &context_wrap::logits),
        InstanceMethod("setControlVector", &context_wrap::set_control_vector),
        InstanceMethod("kvCopy", &context_wrap::kv_copy),
        InstanceMethod("kvRemove", &context_wrap::kv_remove),
        InstanceMethod("kvClear", &context_wrap::kv_clear),
    });
}

Napi::Value context_wrap::decode(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        idle();
        // Shared, because a std::function has to be copyable, and a step is not.
        const auto step = std::make_shared<decode_step>(read_step(read_object(info[0], "step")));
        return start<step_result>([step](llama_session & session) { return run_step(session, std::move(*step)); },
            [](Napi::Env env, step_result & result) -> Napi::Value {
                Napi::Object object = Napi::Object::New(env);
                object.Set("kls", write_array(env, result.kls));
                object.Set("alphas", write_array(env, result.alphas));
                object.Set("chosen", write_array(env, result.chosen));
                object.Set("chosenRows", write_array(env, result.chosen_rows));
                object.Set("candidateKls", write_array(env, result.candidate_kls));
                object.Set("tokens", write_array(env, result.tokens));
                object.Set("logProbabilities", write_array(env, result.log_probabilities));
                object.Set("ends", write_array(env, result.ends));
                object.Set("pieces", write_array(env, result.pieces));
                object.Set("pieceEnds", write_array(env, result.piece_ends));
                object.Set("probabilities", write_array(env, result.probabilities));
                object.Set("gates", write_array(env, result.gates));
                object.Set("guesses", write_array(env, result.guesses));
                return object;
            });
    });
}

Napi::Value context_wrap::logits(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto session = idle();
        const float * values = session->logits(read_int(info[0], "row"));
        return write_array(info.Env(), std::vector<float>(values, values + session->weights().n_vocab()));
    });
}

void context_wrap::set_control_vector(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->set_control_vector(read_array<float>(info[0], "data")); });
}

void context_wrap::kv_copy(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] {
        const auto session = idle();
        const auto from    = read_int(info[0], "from");
        const auto to      = read_int(info[1], "to");
        session->kv_copy(from, to, read_int(info[2], "begin"), read_int(info[3], "end", -1));
    });
}

void context_wrap::kv_remove(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] {
        const auto session  = idle();
        const auto sequence = read_int(info[0], "sequence");
        session->kv_remove(sequence, read_int(info[1], "begin"), read_int(info[2], "end", -1));
    });
}

void context_wrap::kv_clear(const Napi::CallbackInfo & info) {
    guarded(info.Env(), [&] { idle()->kv_clear(); });
}
