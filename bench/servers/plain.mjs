/** The floor: an echo over plain TCP sockets of Node's. */
import { createServer } from "node:net";
import { answerRequests } from "../child.mjs";
import { byteServer } from "./byte-server.mjs";

await answerRequests(byteServer((_, onSocket) => createServer({ noDelay: true }, onSocket)));
