import { NVS_ENTRY, NVS_NAMESPACE } from "../nvs.ts";
import { BENCH_ONLY, cBytes } from "./c-bytes.ts";
import type { SnippetContext } from "./context.ts";

/**
 * Names and signatures as in metaloomlabs/usmp-esp32 10e8a0d (core/include/usmp.h of 1.2.2) and ESP-IDF 5's nvs.h. usmp_t keeps the
 * pointer to the key for the session's life: so it is static. The device id is the Wi-Fi station's MAC address.
 */
export function espIdf({ id, host, port, transport, plaintextKey }: SnippetContext): string {
  return `// USMP device ${id}
#include <stdint.h>
#include <string.h>

#include "esp_event.h"
#include "esp_log.h"
#include "esp_mac.h"
#include "esp_netif.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"
#include "usmp.h"
#include "usmp_transport.h"

static const char *TAG = "app";
${plaintextKey === undefined ? STORED_KEY : literalKey(plaintextKey)}
static usmp_err_t open_session(usmp_t *session, usmp_transport_t *transport) {
  if (usmp_transport_${transport}_init(transport, "${host}", ${port}) != 0) return USMP_ERR_TRANSPORT_FAILED;
  session->psk = key;
  session->psk_len = sizeof key;
  session->keepalive_ms = 15000;
  usmp_err_t err = usmp_connect(session, transport);
  if (err != USMP_OK && transport->destroy != NULL) transport->destroy(transport);
  return err;
}

void app_main(void) {
  ESP_ERROR_CHECK(nvs_flash_init());
  ESP_ERROR_CHECK(esp_netif_init());
  ESP_ERROR_CHECK(esp_event_loop_create_default());
  uint8_t mac[6];
  ESP_ERROR_CHECK(esp_read_mac(mac, ESP_MAC_WIFI_STA));
  // Must be the id that was enrolled: ${id}
  ESP_LOGI(TAG, "device id %02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  ESP_ERROR_CHECK(load_key());
  ESP_ERROR_CHECK(example_connect());
  usmp_set_log_level(USMP_LOG_LEVEL_INFO);

  usmp_t session = {0};
  usmp_transport_t transport = {0};
  usmp_err_t err;
  while ((err = open_session(&session, &transport)) != USMP_OK) {
    ESP_LOGE(TAG, "no session (usmp_err_t %d); on the gateway, usmp why ${id} tells the reason", (int)err);
    vTaskDelay(pdMS_TO_TICKS(5000));
  }
  const char *message = "hello";
  err = usmp_send(&session, (const uint8_t *)message, (uint16_t)strlen(message));
  ESP_LOGI(TAG, "send: %d", (int)err);
  for (;;) {
    vTaskDelay(pdMS_TO_TICKS(1000));
    while (usmp_keepalive_tick(&session) != USMP_OK && usmp_reconnect(&session) != USMP_OK) {
      vTaskDelay(pdMS_TO_TICKS(5000));
    }
  }
}
`;
}

const STORED_KEY = `static uint8_t key[32];

static esp_err_t load_key(void) {
  nvs_handle_t nvs;
  esp_err_t err = nvs_open("${NVS_NAMESPACE}", NVS_READONLY, &nvs);
  if (err != ESP_OK) return err;
  size_t length = sizeof key;
  err = nvs_get_blob(nvs, "${NVS_ENTRY}", key, &length);
  nvs_close(nvs);
  if (err == ESP_OK && length != sizeof key) err = ESP_ERR_INVALID_SIZE;
  return err;
}
`;

function literalKey(digits: string): string {
  return `// ${BENCH_ONLY}
static const uint8_t key[] = ${cBytes(digits, "    ")};

static esp_err_t load_key(void) { return ESP_OK; }
`;
}
