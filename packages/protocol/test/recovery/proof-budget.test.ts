import { expect, it } from "vitest";
import { ProofBudget } from "../../src/recovery/proof-budget.ts";
import { after, START } from "../support/fixtures.ts";

it("eight wrong proofs are looked at at once, then one each 250 ms", () => {
  const budget = new ProofBudget();
  for (let i = 0; i < 8; i++) {
    expect(budget.allows(START)).toBe(true);
    budget.noteWrong(START);
  }
  expect(budget.allows(START)).toBe(false);
  expect(budget.allows(after(249))).toBe(false);
  expect(budget.allows(after(250))).toBe(true);
  budget.noteWrong(after(250));
  expect(budget.allows(after(499))).toBe(false);
  expect(budget.allows(after(500))).toBe(true);
});
