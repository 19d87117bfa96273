// The nodes of llama.cpp's graph that the hook sites were found at: what test/golden/nodes pins.
#include "job.h"
#include "marshal.h"
#include "model_wrap.h"

// siteNodes(): { site, layer, width, isCut, signature }[], by site and layer
Napi::Value model_wrap::site_nodes(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto weights = native();
        Napi::Array list = Napi::Array::New(info.Env());
        for (const auto & [site, name] : HOOK_SITES) {
            for (int layer : weights->sites().layers(site)) {
                const site_node * node = weights->sites().find(site, layer);
                Napi::Object entry = Napi::Object::New(info.Env());
                entry.Set("site", name);
                entry.Set("layer", layer);
                entry.Set("width", double(node->width));
                entry.Set("isCut", node->is_cut);
                entry.Set("signature", node->signature);
                list.Set(list.Length(), entry);
            }
        }
        return list;
    });
}
