/** The HTTP API: loopback by default; beyond it only with TLS, or the explicit word `insecure`. */
export interface HttpSettings {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Paths of PEM files. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  /** Serves plain HTTP beyond loopback: a proxy in front encrypts. */
  readonly insecure: boolean;
  /** Host names, beside the bound address and localhost, under which it is reached; protects from DNS rebinding. */
  readonly allowedHosts: readonly string[];
  /** Origins of pages, such as "https://panel.example", that may speak to it. */
  readonly allowedOrigins: readonly string[];
}
