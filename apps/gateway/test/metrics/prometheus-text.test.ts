import { describe, expect, test } from "vitest";
import { counter, gauge, sample } from "../../src/metrics/family.ts";
import { LatencyHistogram } from "../../src/metrics/latency-histogram.ts";
import { prometheusText } from "../../src/metrics/prometheus-text.ts";
import { expectGoodMetrics, hasPromtool } from "../support/promtool.ts";

const latency = new LatencyHistogram();
for (const milliseconds of [0, 0.5, 1, 3, 20, 61_000, -5]) latency.observe(milliseconds);

const families = [
  gauge("usmp_test", 'A "gauge" with a \\ and a\nline.', [sample(1.5)]),
  counter("usmp_test_total", "Counted.", [sample(3, { a: 'x"\\\n', b: "" }), sample(1e21, { a: "y", b: "1" })]),
  counter("usmp_test_none_total", "None yet.", []),
  latency.family("usmp_test_seconds", "How long."),
];

test("the text of all types of metrics, hostile label values among them", () => {
  expect(prometheusText(families)).toBe(`# HELP usmp_test A "gauge" with a \\\\ and a\\nline.
# TYPE usmp_test gauge
usmp_test 1.5

# HELP usmp_test_total Counted.
# TYPE usmp_test_total counter
usmp_test_total{a="x\\"\\\\\\n",b=""} 3
usmp_test_total{a="y",b="1"} 1e+21

# HELP usmp_test_none_total None yet.
# TYPE usmp_test_none_total counter

# HELP usmp_test_seconds How long.
# TYPE usmp_test_seconds histogram
usmp_test_seconds_bucket{le="0.001"} 4
usmp_test_seconds_bucket{le="0.002"} 4
usmp_test_seconds_bucket{le="0.005"} 5
usmp_test_seconds_bucket{le="0.01"} 5
usmp_test_seconds_bucket{le="0.02"} 6
usmp_test_seconds_bucket{le="0.05"} 6
usmp_test_seconds_bucket{le="0.1"} 6
usmp_test_seconds_bucket{le="0.2"} 6
usmp_test_seconds_bucket{le="0.5"} 6
usmp_test_seconds_bucket{le="1"} 6
usmp_test_seconds_bucket{le="2"} 6
usmp_test_seconds_bucket{le="5"} 6
usmp_test_seconds_bucket{le="10"} 6
usmp_test_seconds_bucket{le="30"} 6
usmp_test_seconds_bucket{le="60"} 6
usmp_test_seconds_bucket{le="+Inf"} 7
usmp_test_seconds_sum 61.0245
usmp_test_seconds_count 7
`);
});

describe.skipIf(!hasPromtool())("promtool", () => {
  test("finds nothing wrong with it, and would", () => {
    expectGoodMetrics(prometheusText(families));
    expect(() => expectGoodMetrics('usmp_test{a="x} 1\n')).toThrow();
    expect(() => expectGoodMetrics("# TYPE usmp_test counter\nusmp_test 1\n")).toThrow();
  });
});
