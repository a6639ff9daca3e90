/** A metric as Prometheus and OpenTelemetry know it: all of its samples at one moment. Counters only grow while the process lives. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

/** Labels have few values, all known beforehand: never a device, an address or a text of foreign origin. */
export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** Of a histogram: `value` is the sum, in seconds. */
  readonly buckets?: readonly Bucket[];
}

/** How many observations were at most `upTo` seconds, smaller ones included; the last `upTo` is infinite. */
export interface Bucket {
  readonly upTo: number;
  readonly count: number;
}

export function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: "counter", samples };
}

export function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: "gauge", samples };
}

export function sample(value: number, labels: Labels = {}): Sample {
  return { labels, value };
}
