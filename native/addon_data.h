#pragma once
#include <napi.h>

class activation_capture;
class steering_vector;
class token_sampler;

// What the addon keeps per JavaScript environment (worker threads and jest have several): no process globals.
struct addon_data {
    Napi::FunctionReference model;
    Napi::FunctionReference context;
    Napi::FunctionReference classifier;
    Napi::FunctionReference translator;
    Napi::FunctionReference vector;
    Napi::FunctionReference capture;
    Napi::FunctionReference sampler;

    template <typename Native> Napi::FunctionReference & constructor_of();
};

template <> inline Napi::FunctionReference & addon_data::constructor_of<const steering_vector>() { return vector; }
template <> inline Napi::FunctionReference & addon_data::constructor_of<activation_capture>() { return capture; }
template <> inline Napi::FunctionReference & addon_data::constructor_of<token_sampler>() { return sampler; }
