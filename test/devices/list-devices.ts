// Prints the devices that models can use, as JSON.
import { addon } from "../../lib/native/index.js";

process.stdout.write(JSON.stringify(addon().devices()));
