// What a model makes for steering: handles that JavaScript passes back to Context.decode.
#include "engine/activation_capture.h"
#include "engine/activation_gate.h"
#include "handle.h"
#include "model_wrap.h"

Napi::Value model_wrap::create_vector(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights   = native();
        const auto object    = read_object(info[0], "vector");
        const auto site      = hook_site_from_name(read_string(object.Get("site"), "vector.site"));
        const auto n_steps   = read_int(object.Get("nSteps"), "vector.nSteps", 1);
        const auto width     = read_int(object.Get("width"), "vector.width", 1);
        const auto layers    = read_array<int32_t>(object.Get("layers"), "vector.layers");
        const auto data      = read_array<float>(object.Get("data"), "vector.data");
        const auto n_threads = read_int(object.Get("nThreads"), "vector.nThreads");
        auto vector = weights->make_vector(site, layers, n_steps, width, data, n_threads);
        return handle<const steering_vector>::make(info.Env(), std::move(vector), data.size() * sizeof(float));
    });
}

Napi::Value model_wrap::create_capture(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        const auto object  = read_object(info[0], "capture");
        const auto site    = hook_site_from_name(read_string(object.Get("site"), "capture.site"));
        const auto layers  = read_array<int32_t>(object.Get("layers"), "capture.layers");
        const auto n_steps = read_int(object.Get("nSteps"), "capture.nSteps", 1);
        weights->check_layers(site, layers);
        const int32_t width = weights->sites().width(site);
        auto capture = std::make_shared<activation_capture>(site, layers, n_steps, width, weights->id());
        return handle<activation_capture>::make(info.Env(), std::move(capture), layers.size() * n_steps * width * sizeof(double));
    });
}

Napi::Value model_wrap::create_gate(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        const auto object  = read_object(info[0], "gate");
        const auto site    = hook_site_from_name(read_string(object.Get("site"), "gate.site"));
        const auto layer   = read_int(object.Get("layer"), "gate.layer");
        const auto probe   = read_array<float>(object.Get("weights"), "gate.weights");
        const auto bias    = read_number(object.Get("bias"), "gate.bias");
        gate_rule rule;
        rule.opens  = read_number(object.Get("opens"), "gate.opens");
        rule.keeps  = read_number(object.Get("keeps"), "gate.keeps");
        rule.below  = read_bool(object.Get("below"), "gate.below");
        rule.smooth = read_bool(object.Get("smooth"), "gate.smooth");
        weights->check_layers(site, {layer});
        const int32_t width = weights->sites().width(site);
        if (int32_t(probe.size()) != width) {
            throw failure("E_SHAPE", "the gate's probe has width " + std::to_string(probe.size()) + "; " + hook_site_name(site)
                + " of this model has " + std::to_string(width));
        }
        auto gate = std::make_shared<const activation_gate>(site_place(site, layer), probe, bias, rule, weights->id());
        return handle<const activation_gate>::make(info.Env(), std::move(gate), probe.size() * sizeof(float));
    });
}
