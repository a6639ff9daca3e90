import type { GatewayOptions } from "../../src/gateway/gateway.ts";
import { HTTP } from "./http.ts";
import { TestGateway } from "./gateways.ts";
import type { TestHome } from "./registries.ts";

/** A gateway with its API, and the first admin's token. */
export class ApiGateway {
  readonly test: TestGateway;
  readonly admin: string;

  private constructor(test: TestGateway) {
    this.test = test;
    this.admin = test.gateway.takeFirstToken() ?? "";
  }

  static async open(home: TestHome, options: Partial<GatewayOptions> = {}): Promise<ApiGateway> {
    return new ApiGateway(await TestGateway.open(home, { http: HTTP, ...options }));
  }

  get base(): string {
    return `http://127.0.0.1:${this.test.gateway.httpAddress?.port}`;
  }

  ask(verb: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return fetch(this.base + path, {
      method: verb,
      headers: {
        authorization: `Bearer ${this.admin}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  }

  async json(verb: string, path: string, body?: unknown): Promise<unknown> {
    const response = await this.ask(verb, path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${verb} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }
}
