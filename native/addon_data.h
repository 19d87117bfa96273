#pragma once
#include <napi.h>

// What the addon keeps per JavaScript environment (worker threads and jest have several): no process globals.
struct addon_data {
    Napi::FunctionReference model;
    Napi::FunctionReference context;
};
