import type { Family, Labels, Sample } from "./family.ts";

/** What Prometheus scrapes: text format 0.0.4. */
export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function prometheusText(families: readonly Family[]): string {
  return families.map(familyText).join("\n");
}

function familyText({ name, help, type, samples }: Family): string {
  const lines = samples.flatMap((sample) => sampleLines(name, sample));
  return `${[`# HELP ${name} ${escapeText(help)}`, `# TYPE ${name} ${type}`, ...lines].join("\n")}\n`;
}

function sampleLines(name: string, { labels, value, buckets }: Sample): string[] {
  if (buckets === undefined) return [`${name}${labelText(labels)} ${value}`];
  return [
    ...buckets.map(({ upTo, count }) => {
      const le = upTo === Number.POSITIVE_INFINITY ? "+Inf" : String(upTo);
      return `${name}_bucket${labelText({ ...labels, le })} ${count}`;
    }),
    `${name}_sum${labelText(labels)} ${value}`,
    `${name}_count${labelText(labels)} ${buckets.at(-1)?.count ?? 0}`,
  ];
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([label, value]) => `${label}="${escapeText(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
