# A stub: CMakeLists.txt is the only build, driven by native/build.mjs.
{ "targets": [] }
