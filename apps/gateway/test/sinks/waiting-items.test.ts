import { expect, test } from "vitest";
import { WaitingItems } from "../../src/sinks/waiting-items.ts";

const waiting = (items: number, bytes: number) => new WaitingItems<number>({ items, bytes }, (item) => item);

test("the oldest give way beyond the count, and beyond the bytes", () => {
  const items = waiting(3, 100);
  expect([10, 20, 30, 40, 60].map((item) => items.push(item))).toEqual([0, 0, 0, 1, 2]);
  expect([items.length, items.bytes]).toEqual([2, 100]);
  expect(items.take({ items: 9, bytes: 999 })).toEqual([40, 60]);
  expect([items.length, items.bytes]).toEqual([0, 0]);
});

test("what is larger than all the room goes itself, and what waited with it", () => {
  const items = waiting(3, 100);
  items.push(1);
  expect(items.push(101)).toBe(2);
  expect([items.length, items.bytes]).toEqual([0, 0]);
});

test("a batch keeps both bounds, and has one item at least", () => {
  const items = waiting(100, 1_000);
  for (const item of [50, 10, 10, 10, 10]) items.push(item);
  expect(items.take({ items: 3, bytes: 20 })).toEqual([50]);
  expect(items.take({ items: 3, bytes: 20 })).toEqual([10, 10]);
  expect(items.take({ items: 1, bytes: 20 })).toEqual([10]);
  expect(items.clear()).toBe(1);
});

test("order and sums hold over many turns, and what has gone is not held", () => {
  const items = waiting(1_000, 1_000_000);
  let next = 0;
  let expected = 0;
  for (let turn = 0; turn < 2_000; turn++) {
    for (let i = 0; i < turn % 7; i++) expected += items.push(next++);
    for (const item of items.take({ items: turn % 5, bytes: 1_000_000 })) expect(item).toBe(expected++);
  }
  expect(items.length).toBe(next - expected);
});
