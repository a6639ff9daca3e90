import { NVS_ENTRY, NVS_NAMESPACE } from "../nvs.ts";
import { BENCH_ONLY, cBytes } from "./c-bytes.ts";
import type { SnippetContext } from "./context.ts";

/**
 * Names and signatures as in metaloomlabs/usmp-arduino a3c9ee6 (src/USMP.h) and 87ee599 (core 1.2.2), and arduino-esp32 02febc9
 * (Preferences.h). USMPClient keeps the pointer and takes strlen() of it in begin() and at each reconnection: so the key is static,
 * ends in a zero and has none inside. maintain() does nothing before a begin() that succeeded: loop() tries again itself.
 */
export function arduino({ id, host, port, transport, plaintextKey }: SnippetContext): string {
  const factory = transport === "udp" ? "UDP" : "TCP";
  return `// USMP device ${id}
#include <Preferences.h>
#include <USMP.h>
#include <WiFi.h>

const char *GATEWAY = "${host}";
const char *WIFI_SSID = "your-network";
const char *WIFI_PASS = "your-password";

${plaintextKey === undefined ? STORED_KEY : literalKey(plaintextKey)}
USMPClient usmp(key);

void setup() {
  Serial.begin(115200);
  WiFi.mode(WIFI_STA);
  Serial.println("device id: " + WiFi.macAddress());  // must be the one that was enrolled: ${id}
  if (!loadKey()) Serial.println("no key in NVS: flash the image that usmp device add --nvs made");
  usmp.setLogLevel(USMP_LOG_LEVEL_INFO);
}

bool connectToGateway() {
  if (!loadKey()) return false;
  if (!usmp.begin(USMP::${factory}(GATEWAY, ${port}).wifi(WIFI_SSID, WIFI_PASS))) {
    Serial.println("no session; on the gateway, usmp why ${id} tells the reason");
    return false;
  }
  Serial.println("session " + usmp.sessionId());
  return usmp.send("hello");
}

void loop() {
  static bool begun = false;
  if (!begun) {
    begun = connectToGateway();
    if (!begun) delay(5000);
    return;
  }
  usmp.maintain();  // answers PING, reconnects
  if (usmp.available()) Serial.println("received: " + usmp.read());
}
`;
}

const STORED_KEY = `// 32 raw bytes from NVS and the zero that ends a C string. Keys from usmp have no zero byte inside.
static char key[33];

bool loadKey() {
  Preferences preferences;
  if (!preferences.begin("${NVS_NAMESPACE}", true)) return false;
  size_t length = preferences.getBytes("${NVS_ENTRY}", key, 32);
  preferences.end();
  return length == 32 && strlen(key) == 32;
}
`;

function literalKey(digits: string): string {
  return `// ${BENCH_ONLY}
static const unsigned char KEY[] = ${cBytes(`${digits}00`, "    ")};
static const char *key = (const char *)KEY;

bool loadKey() { return strlen(key) == sizeof KEY - 1; }
`;
}
