import { socketSource } from "../../src/workers/own-sockets.ts";
import { testTwoWorkers } from "../support/workers-suite.ts";

// A socket for each worker where Node or the addon can make one, else the same as workers-shared-socket.test.ts.
console.log(`sockets of workers: ${socketSource()}`);
testTwoWorkers();
