import { join } from "node:path";
import { Session } from "../chat/session.js";
