// The addon's export table. lib/native/binding.ts is its typed mirror.
#include "classifier_wrap.h"
#include "context_wrap.h"
#include "embedder_wrap.h"
#include "engine/token_sampler.h"
#include "functions.h"
#include "handle.h"
#include "model_wrap.h"
#include "translator_wrap.h"

#include <napi.h>

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
    env.SetInstanceData(new addon_data);
    model_wrap::define(env);
    context_wrap::define(env);
    classifier_wrap::define(env);
    embedder_wrap::define(env);
    translator_wrap::define(env);
    handle<const steering_vector>::define(env, "Vector");
    handle<activation_capture>::define(env, "Capture");
    handle<const activation_gate>::define(env, "Gate");
    handle<token_sampler>::define(env, "Sampler");

    exports.Set("loadBackends", Napi::Function::New(env, load_backends_entry));
    exports.Set("runRpcServer", Napi::Function::New(env, run_rpc_server_entry));
    exports.Set("devices", Napi::Function::New(env, devices));
    exports.Set("systemInfo", Napi::Function::New(env, system_info));
    exports.Set("loadModel", Napi::Function::New(env, model_wrap::load));
    exports.Set("hashOf", Napi::Function::New(env, hash_of));
    exports.Set("takeCapture", Napi::Function::New(env, take_capture));
    exports.Set("aliveObjects", Napi::Function::New(env, alive_objects));
    exports.Set("workDone", Napi::Function::New(env, work_done_entry));
    return exports;
}

} // namespace

NODE_API_MODULE(llama_steer, init)
