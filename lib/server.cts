// For `require("llama-steer/server")`, as index.cts is for the root.
import server = require("./server.js");
export = server;
